"""Lanes in memory: how many entries of a lane may be under way at once, and which lanes are down.

A lane starts narrow, widens with each success and narrows when it fails, so that a hundred silent destinations
cannot take the places of the live ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.mail.lane import DIRECT
from relay.queue.outcome import Deferred
from relay.queue.routing import LanePause, provider_of

FIRST_WIDTH = 5


REFUSALS = 5


REFUSED_DOMAINS = 3
"""So many refusals of one kind in a row, for so many destinations, are not about the mail any more."""


@dataclass(slots=True)
class LaneState:
    """What is known of one lane that is in use."""

    concurrency: int = FIRST_WIDTH
    in_flight: int = 0
    down_until: float = 0.0
    failure: Deferred | None = None
    """How it failed last; answers for the lane while it is down."""
    failed_at: float = 0.0
    why: str = ""
    """What the other side said when it failed."""
    refusals: int = 0
    refusal: str = ""
    refused_domains: set[str] = field(default_factory=set)
    """The refusals of one kind in a row, and the destinations they were about."""


@dataclass(slots=True)
class LaneTable:
    """The lanes in use. `widest` is the number of entries a lane may have under way at most."""

    max_concurrency: int
    lanes: dict[str, LaneState] = field(default_factory=dict)

    def start(self, name: str, entries: int) -> None:
        """Note that so many entries of the lane are under way."""
        self.lanes.setdefault(name, LaneState()).in_flight += entries

    def finish(self, name: str, entries: int) -> None:
        """Note that they no longer are."""
        lane = self.lanes[name]
        lane.in_flight -= entries
        if (
            not lane.in_flight
            and lane.failure is None
            and lane.concurrency <= FIRST_WIDTH
            and provider_of(name) == DIRECT
        ):
            del self.lanes[name]

    def succeeded(self, name: str, started_at: float) -> None:
        """Widen the lane: a server took a message, or answered for a single one.

        What was under way when the lane failed says nothing of how it is since.
        """
        lane = self.lanes.setdefault(name, LaneState())
        if lane.failure is not None and started_at <= lane.failed_at:
            return
        lane.concurrency = min(lane.concurrency + 1, self.max_concurrency)
        lane.failure, lane.down_until = None, 0.0

    def resume(self, name: str) -> bool:
        """Lift a pause; tell whether there was one. The lane stays narrow until it has shown that it works."""
        lane = self.lanes.get(name)
        if lane is None or lane.failure is None:
            return False
        lane.failure, lane.down_until = None, 0.0
        return True

    def refused(self, name: str, kind: str, domain: str) -> bool:
        """Count a refusal that may be about us; tell whether the lane refuses everything.

        `domain` is the destination's, "" where it cannot have been the reason.
        """
        lane = self.lanes.setdefault(name, LaneState())
        if kind != lane.refusal:
            lane.refusal, lane.refusals, lane.refused_domains = kind, 0, set()
        lane.refusals += 1
        if len(lane.refused_domains) < REFUSED_DOMAINS:
            lane.refused_domains.add(domain)
        is_for_all = "" in lane.refused_domains or len(lane.refused_domains) >= REFUSED_DOMAINS
        return lane.refusals >= REFUSALS and is_for_all

    def accepted(self, name: str) -> None:
        """Forget the refusals in a row: something was taken."""
        if (lane := self.lanes.get(name)) is not None:
            lane.refusal, lane.refusals, lane.refused_domains = "", 0, set()

    def slow_down(self, name: str) -> None:
        """Halve the lane's width: the other side finds us too fast, or does not trust us."""
        lane = self.lanes.setdefault(name, LaneState())
        lane.concurrency = max(1, lane.concurrency // 2)

    def failed(self, name: str, failure: Deferred, now: float, until: float, why: str = "") -> bool:
        """Narrow the lane to one, and let its failure answer until that time; tell whether it was not down before.

        A shorter failure does not end a longer one. `why` is what the other side said, else the failure's own words.
        """
        lane = self.lanes.setdefault(name, LaneState())
        is_new = now >= lane.down_until
        lane.concurrency, lane.failed_at = 1, now
        if until >= lane.down_until:
            lane.failure, lane.down_until, lane.why = failure, until, why or str(failure.reply)
        return is_new

    def clock_set(self, step: float) -> None:
        """Keep what is left of every rest when the clock was set by that many seconds."""
        for lane in self.lanes.values():
            lane.down_until += step
            lane.failed_at += step

    def is_failing(self, name: str) -> bool:
        """Tell whether the lane failed and has not shown since that it works."""
        lane = self.lanes.get(name)
        return lane is not None and lane.failure is not None

    def pause(self, name: str, now: float) -> LanePause | None:
        """Return until when and why the lane is down, None when it may be tried."""
        lane = self.lanes.get(name)
        return LanePause(lane.down_until, lane.why) if lane is not None and now < lane.down_until else None

    def pauses(self, now: float) -> Mapping[str, LanePause]:
        """Return the lanes that are down, by name."""
        found = ((name, self.pause(name, now)) for name in self.lanes)
        return {name: pause for name, pause in found if pause is not None}

    def failure(self, name: str, now: float) -> Deferred | None:
        """Return the failure that answers for a lane that is down, None when it may be tried."""
        lane = self.lanes.get(name)
        return lane.failure if lane is not None and now < lane.down_until else None

    def capacity(self, now: float) -> Mapping[str, int]:
        """Return the free places of each lane in use. A lane that is down settles fast and may be wide."""
        return {
            name: max(0, (self.max_concurrency if now < lane.down_until else lane.concurrency) - lane.in_flight)
            for name, lane in self.lanes.items()
        }

    def initial_capacity(self) -> int:
        """Return the free places of a lane not in use."""
        return min(FIRST_WIDTH, self.max_concurrency)

    def forget_idle(self, now: float) -> None:
        """Drop what is remembered of destinations with nothing under way whose failure is past; providers stay."""
        idle = [
            name
            for name, lane in self.lanes.items()
            if not lane.in_flight and now >= lane.down_until and provider_of(name) == DIRECT
        ]
        for name in idle:
            del self.lanes[name]

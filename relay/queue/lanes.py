"""State of the lanes in memory: the concurrency of each lane, and its pause.

A lane starts with a low concurrency. Each success raises it, and failures lower it, so that a hundred unreachable
destinations cannot use up the capacity of the reachable ones.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.mail.lane import is_provider
from relay.queue.claim_limits import Holders
from relay.queue.outcome import Deferred
from relay.queue.routing import LanePause

INITIAL_CONCURRENCY = 5
"""Transactions in flight that a new lane may have."""

MIN_REFUSALS = 5
"""Refusals of one kind in a row after which the sending account is the cause, not the messages."""

MIN_REFUSED_DOMAINS = 3
"""Destination domains that these refusals must concern."""


@dataclass(slots=True)
class LaneState:
    """State of one lane in use. Times are Unix seconds."""

    concurrency: int = INITIAL_CONCURRENCY
    in_flight: int = 0
    """Transactions."""
    parties: Counter[str] = field(default_factory=Counter)
    """Transactions in flight by accountable party."""
    down_until: float = 0.0
    failure: Deferred | None = None
    """The last failure. It is the outcome of all attempts while the lane is paused."""
    failed_at: float = 0.0
    why: str = ""
    """The reply that caused the failure."""
    refusals: int = 0
    """Refusals of one kind in a row."""
    refusal: str = ""
    """Their kind: the masked reply."""
    refused_domains: set[str] = field(default_factory=set)
    """Their destination domains; "" for a refusal that concerned no recipient."""


@dataclass(slots=True)
class LaneTable:
    """The lanes in use, by name."""

    max_concurrency: int
    """Transactions in flight that any lane may have, at most."""
    lanes: dict[str, LaneState] = field(default_factory=dict)

    def start(self, name: str, transactions: int, party: str = "") -> None:
        """Add transactions of an accountable party to those in flight."""
        lane = self._lane(name)
        lane.in_flight += transactions
        lane.parties[party] += transactions

    def _lane(self, name: str) -> LaneState:
        """Return the state of a lane, a new one for a lane not in use."""
        lane = self.lanes.get(name)
        if lane is None:
            lane = self.lanes[name] = LaneState()
        return lane

    def finish(self, name: str, transactions: int, party: str = "") -> None:
        """Subtract transactions from those in flight. Forget a destination whose state is that of a new lane."""
        lane = self.lanes[name]
        lane.in_flight -= transactions
        lane.parties[party] -= transactions
        if not lane.parties[party]:
            del lane.parties[party]
        is_like_new = lane.failure is None and lane.concurrency <= INITIAL_CONCURRENCY
        if not lane.in_flight and is_like_new and not is_provider(name):
            del self.lanes[name]

    def succeeded(self, name: str, started_at: float) -> None:
        """Raise the concurrency: a server accepted a message, or refused a single one.

        `started_at` is the start of the attempt.
        """
        lane = self._lane(name)
        # An attempt that began before the last failure proves nothing about the lane now.
        if lane.failure is not None and started_at <= lane.failed_at:
            return
        lane.concurrency = min(lane.concurrency + 1, self.max_concurrency)
        lane.failure, lane.down_until = None, 0.0

    def resume(self, name: str) -> bool:
        """End a pause. Return whether there was one. The concurrency stays low until an attempt succeeds."""
        lane = self.lanes.get(name)
        if lane is None or lane.failure is None:
            return False
        lane.failure, lane.down_until = None, 0.0
        return True

    def refused(self, name: str, kind: str, domain: str) -> bool:
        """Count a refusal that may concern our account. Return whether the lane refuses every message.

        `domain` is the destination domain, "" for a refusal before any recipient.
        """
        lane = self._lane(name)
        if kind != lane.refusal:
            lane.refusal, lane.refusals, lane.refused_domains = kind, 0, set()
        lane.refusals += 1
        if len(lane.refused_domains) < MIN_REFUSED_DOMAINS:
            lane.refused_domains.add(domain)

        is_for_all = "" in lane.refused_domains or len(lane.refused_domains) >= MIN_REFUSED_DOMAINS
        return lane.refusals >= MIN_REFUSALS and is_for_all

    def accepted(self, name: str) -> None:
        """Reset the refusals in a row, after an accepted message."""
        lane = self.lanes.get(name)
        if lane is not None and lane.refusals:
            lane.refusal, lane.refusals, lane.refused_domains = "", 0, set()

    def slow_down(self, name: str) -> None:
        """Halve the concurrency: the server asks for fewer connections, or refuses mail from this host."""
        lane = self._lane(name)
        lane.concurrency = max(1, lane.concurrency // 2)

    def failed(self, name: str, failure: Deferred, now: float, until: float, why: str = "") -> bool:
        """Set the concurrency to one, and pause the lane until that time. Return whether it was not paused before.

        A shorter pause does not end a longer one. `why` is the reply of the server, by default that of the failure.
        """
        lane = self._lane(name)
        is_new = now >= lane.down_until
        lane.concurrency, lane.failed_at = 1, now
        if until >= lane.down_until:
            lane.failure, lane.down_until, lane.why = failure, until, why or str(failure.reply)
        return is_new

    def clock_set(self, step: float) -> None:
        """Move all pauses by a step of the clock, in seconds, so that their remaining time is kept."""
        for lane in self.lanes.values():
            lane.down_until += step
            lane.failed_at += step

    def is_failing(self, name: str) -> bool:
        """Whether the lane failed, without a success since."""
        lane = self.lanes.get(name)
        return lane is not None and lane.failure is not None

    def pause(self, name: str, now: float) -> LanePause | None:
        """Return the pause of a lane, None for a lane that is not paused."""
        lane = self.lanes.get(name)
        return LanePause(lane.down_until, lane.why) if lane is not None and now < lane.down_until else None

    def pauses(self, now: float) -> Mapping[str, LanePause]:
        """Return the pauses of all paused lanes, by lane name."""
        found = ((name, self.pause(name, now)) for name in self.lanes)
        return {name: pause for name, pause in found if pause is not None}

    def failure(self, name: str, now: float) -> Deferred | None:
        """Return the outcome of attempts while the lane is paused, None for a lane that is not paused."""
        lane = self.lanes.get(name)
        return lane.failure if lane is not None and now < lane.down_until else None

    def capacity(self, now: float) -> Mapping[str, int]:
        """Return the entries that may be claimed for each lane in use."""
        return {name: self.capacity_of(name, now) for name in self.lanes}

    def capacity_of(self, name: str, now: float) -> int:
        """Return the entries that may be claimed for one lane."""
        lane = self.lanes.get(name)
        if lane is None:
            return self.initial_capacity()
        # Entries of a paused lane are settled without a connection, so its concurrency does not limit them.
        concurrency = self.max_concurrency if now < lane.down_until else lane.concurrency
        return max(0, concurrency - lane.in_flight)

    def holders(self, now: float) -> Holders:
        """Return the lanes without capacity in which each other party may have one entry in flight.

        Servers that hang give nothing back: one party would keep the others out. A failing lane is tested by one entry.
        """
        return {
            name: frozenset(lane.parties)
            for name, lane in self.lanes.items()
            if lane.concurrency <= lane.in_flight < lane.concurrency + self.max_concurrency
            and lane.failure is None
            and now >= lane.down_until
        }

    def initial_capacity(self) -> int:
        """Return the entries that may be claimed for a lane not in use."""
        return min(INITIAL_CONCURRENCY, self.max_concurrency)

    def forget_idle(self, now: float) -> None:
        """Forget destinations without entries in flight and without a pause. Providers are kept."""
        idle = [
            name
            for name, lane in self.lanes.items()
            if not lane.in_flight and now >= lane.down_until and not is_provider(name)
        ]
        for name in idle:
            del self.lanes[name]

"""Rolling windows over the times at which messages leave."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

HOUR = 3600.0


DAY = 86400.0


TICK = 0.001
"""Times are kept this far apart from a window's end, so that no closed span holds one message too many."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` messages in any closed span of `span` seconds."""

    limit: int
    span: float


def windows(hourly: int, daily: int) -> tuple[Window, ...]:
    """Return the windows of an hourly and a daily limit; 0 means no limit."""
    return tuple(Window(limit, span) for limit, span in ((hourly, HOUR), (daily, DAY)) if limit > 0)


class SlotKind(IntEnum):
    """What a time in a ledger stands for."""

    SENT = 0
    """A message left then."""
    OVERDUE = 1
    """A message whose place had come found its window full, and was given this one."""
    RESERVED = 2
    """A message was given this place when it was accepted."""


@dataclass(slots=True)
class Ledger:
    """The times of one identity's or provider's messages, sorted, by what they stand for."""

    times: dict[SlotKind, list[float]] = field(default_factory=lambda: {standing: [] for standing in SlotKind})

    def add(self, at: float, standing: SlotKind = SlotKind.RESERVED) -> None:
        """Enter a time."""
        insort(self.times[standing], at)

    def remove(self, at: float, standing: SlotKind = SlotKind.RESERVED) -> None:
        """Take a time out that was entered before."""
        times = self.times[standing]
        index = bisect_left(times, at)
        if index < len(times) and times[index] == at:
            del times[index]

    def forget_before(self, at: float) -> None:
        """Drop times no window can see any more."""
        for times in self.times.values():
            del times[: bisect_left(times, at)]

    @property
    def is_empty(self) -> bool:
        """Whether it holds no time."""
        return not any(self.times.values())

    def has_capacity(self, limits: Sequence[Window], now: float) -> bool:
        """Tell whether one more message may leave now. Only what left decides: places are asked for in their turn."""
        return all(self.sent_within(window.span, now) < window.limit for window in limits)

    def sent_within(self, span: float, now: float) -> int:
        """Return how many messages left in the last `span` seconds."""
        left = self.times[SlotKind.SENT]
        return len(left) - bisect_left(left, now - span)

    def waiting(self, now: float) -> int:
        """Return how many places were given for later."""
        given = (self.times[standing] for standing in (SlotKind.OVERDUE, SlotKind.RESERVED))
        return sum(len(times) - bisect_right(times, now) for times in given)

    def next_free(self, limits: Sequence[Window], at: float, of: SlotKind = SlotKind.RESERVED) -> float:
        """Return the earliest time, not before `at`, at which one more message breaks none of the windows.

        A late message waits for what left and for the late ones before it, not for places that are going to be late
        as well: when departures lag behind their places, all shift by that much and no more.
        """
        times = sorted(time for standing in SlotKind if standing <= of for time in self.times[standing])
        moment = at
        moved = True
        while moved:
            moved = False
            for window in limits:
                later = _earliest(times, window, moment)
                moved = moved or later > moment
                moment = later
        return moment


def _earliest(times: list[float], window: Window, at: float) -> float:
    """Return the earliest time for one window. Each step leaves one crowded span behind, so it ends."""
    moment = at
    while (crowded := _crowded(times, window, moment)) is not None:
        moment = times[crowded] + window.span + TICK
    return moment


def _crowded(times: list[float], window: Window, at: float) -> int | None:
    """Return the index of the last time that starts a full span around `at`, None when `at` fits."""
    low = bisect_left(times, at - window.span)
    high = bisect_right(times, at + window.span)
    if high - low < window.limit:
        return None
    place = bisect_right(times, at)
    # `limit` neighbours within one span, together with `at`, are one too many.
    for start in range(min(place, high - window.limit), low - 1, -1):
        last = max(times[start + window.limit - 1], at)
        first = min(times[start], at)
        if last - first <= window.span:
            return start
    return None


def earliest(ledgers: Sequence[tuple[Ledger, Sequence[Window]]], at: float, of: SlotKind = SlotKind.RESERVED) -> float:
    """Return the earliest time, not before `at`, that suits several ledgers at once (see Ledger.earliest)."""
    moment = at
    while True:
        agreed = moment
        for ledger, limits in ledgers:
            agreed = ledger.next_free(limits, agreed, of)
        if agreed == moment:
            return moment
        moment = agreed


Ledgers = Mapping[str, tuple[Window, ...]]
"""The windows of a slot by ledger key."""

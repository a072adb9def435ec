"""Rolling windows over the times at which messages are sent. Pure."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

HOUR = 3600.0

DAY = 86400.0

TICK = 0.001
"""Seconds between a time and a window's end, so that no closed span holds one message above its limit."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` messages in any closed span of `span` seconds."""

    limit: int
    span: float


@lru_cache(maxsize=1024)
def windows(hourly: int, daily: int) -> tuple[Window, ...]:
    """Return the windows of an hourly and a daily limit; 0 means no limit."""
    return tuple(Window(limit, span) for limit, span in ((hourly, HOUR), (daily, DAY)) if limit > 0)


class SlotKind(IntEnum):
    """Meaning of a time in a ledger."""

    SENT = 0
    """A message was sent."""
    OVERDUE = 1
    """A message was due, found its window full, and got this later slot."""
    RESERVED = 2
    """A message reserved this slot at acceptance."""


@dataclass(slots=True)
class Ledger:
    """Sorted times of the messages of one identity or provider, by kind."""

    times: dict[SlotKind, list[float]] = field(default_factory=lambda: {standing: [] for standing in SlotKind})
    _all: list[float] = field(default_factory=list)
    """The times of all kinds: sorting them for each of many slots would take too long."""

    def add(self, at: float, standing: SlotKind = SlotKind.RESERVED) -> None:
        """Enter a time."""
        insort(self.times[standing], at)
        insort(self._all, at)

    def remove(self, at: float, standing: SlotKind = SlotKind.RESERVED) -> None:
        """Remove a time that was entered before."""
        times = self.times[standing]
        index = bisect_left(times, at)
        if index < len(times) and times[index] == at:
            del times[index]
            del self._all[bisect_left(self._all, at)]

    def forget_before(self, at: float) -> None:
        """Drop times that no window covers any more."""
        for times in (*self.times.values(), self._all):
            del times[: bisect_left(times, at)]

    @property
    def is_empty(self) -> bool:
        """Whether the ledger holds no time."""
        return not any(self.times.values())

    def has_capacity(self, limits: Sequence[Window], now: float) -> bool:
        """Whether one more message may be sent now. Only sent messages count: reserved slots are checked when due."""
        return all(self.sent_within(window.span, now) < window.limit for window in limits)

    def sent_within(self, span: float, now: float) -> int:
        """Return the number of messages sent in the last `span` seconds."""
        left = self.times[SlotKind.SENT]
        return len(left) - bisect_left(left, now - span)

    def waiting(self, now: float) -> int:
        """Return the number of slots reserved for later."""
        given = (self.times[standing] for standing in (SlotKind.OVERDUE, SlotKind.RESERVED))
        return sum(len(times) - bisect_right(times, now) for times in given)

    def next_free(self, limits: Sequence[Window], at: float, of: SlotKind = SlotKind.RESERVED) -> float:
        """Return the earliest time, not before `at`, at which one more message breaks none of the windows.

        An overdue message waits for sent and overdue messages only, not for reserved slots that will be overdue too.
        When sending lags behind the slots, all of them shift by the same delay.
        """
        times = self._all
        if of is not SlotKind.RESERVED:
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
    """Return the earliest time for one window. Each step passes one full span, so the loop ends."""
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
    # `limit` neighbours within one span, together with `at`, exceed the limit by one.
    for start in range(min(place, high - window.limit), low - 1, -1):
        last = max(times[start + window.limit - 1], at)
        first = min(times[start], at)
        if last - first <= window.span:
            return start
    return None


def earliest(ledgers: Sequence[tuple[Ledger, Sequence[Window]]], at: float, of: SlotKind = SlotKind.RESERVED) -> float:
    """Return the earliest time, not before `at`, that all ledgers allow (see Ledger.next_free)."""
    moment = at
    while True:
        agreed = moment
        for ledger, limits in ledgers:
            agreed = ledger.next_free(limits, agreed, of)
        if agreed == moment:
            return moment
        moment = agreed


Ledgers = Mapping[str, tuple[Window, ...]]
"""Windows of a slot, by ledger key."""

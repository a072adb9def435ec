"""Rolling windows over the times at which messages leave."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class Ledger:
    """The times at which one identity's or provider's messages left or will leave, sorted."""

    times: list[float] = field(default_factory=list)

    def add(self, at: float) -> None:
        """Enter a time."""
        insort(self.times, at)

    def remove(self, at: float) -> None:
        """Take a time out that was entered before."""
        index = bisect_left(self.times, at)
        if index < len(self.times) and self.times[index] == at:
            del self.times[index]

    def forget_before(self, at: float) -> None:
        """Drop times no window can see any more."""
        del self.times[: bisect_left(self.times, at)]

    def earliest(self, limits: Sequence[Window], at: float) -> float:
        """Return the earliest time, not before `at`, at which one more message breaks none of the windows."""
        moment = at
        moved = True
        while moved:
            moved = False
            for window in limits:
                later = self._earliest(window, moment)
                moved = moved or later > moment
                moment = later
        return moment

    def _earliest(self, window: Window, at: float) -> float:
        """The same for one window. Each step leaves one crowded span behind, so it ends after at most all times."""
        moment = at
        while (crowded := self._crowded(window, moment)) is not None:
            moment = self.times[crowded] + window.span + TICK
        return moment

    def _crowded(self, window: Window, at: float) -> int | None:
        """Return the index of the last time that starts a full span around `at`, None when `at` fits."""
        low = bisect_left(self.times, at - window.span)
        high = bisect_right(self.times, at + window.span)
        if high - low < window.limit:
            return None
        place = bisect_right(self.times, at)
        # `limit` neighbours within one span, together with `at`, are one too many.
        for start in range(min(place, high - window.limit), low - 1, -1):
            last = max(self.times[start + window.limit - 1], at)
            first = min(self.times[start], at)
            if last - first <= window.span:
                return start
        return None


def earliest(ledgers: Sequence[tuple[Ledger, Sequence[Window]]], at: float) -> float:
    """Return the earliest time, not before `at`, that suits several ledgers at once."""
    moment = at
    while True:
        agreed = moment
        for ledger, limits in ledgers:
            agreed = ledger.earliest(limits, agreed)
        if agreed == moment:
            return moment
        moment = agreed

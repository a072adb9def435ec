"""Counts of the last hour, for the dashboard."""

from collections import Counter as Tally
from collections import deque
from collections.abc import Mapping

MINUTES = 60
"""Minutes that the counts cover."""


class HourlyCounts:
    """Counts by name over the last hour; they begin with the process."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, Tally[str]]] = deque(maxlen=MINUTES)

    def count(self, name: str, now: float, number: int = 1) -> None:
        """Add to a count at the time `now`, in Unix seconds."""
        minute = int(now // 60)
        if not self._minutes or self._minutes[-1][0] < minute:
            self._minutes.append((minute, Tally()))
        self._minutes[-1][1][name] += number

    def sums(self, now: float) -> Mapping[str, int]:
        """Return the counts of this minute and the 59 before it."""
        first = int(now // 60) - MINUTES + 1
        total: Tally[str] = Tally()
        for minute, counted in self._minutes:
            if minute >= first:
                total.update(counted)
        return total

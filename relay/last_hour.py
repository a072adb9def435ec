"""What happened within the last hour, counted by the minute. Pure: the time is passed in."""

from collections import Counter, deque
from collections.abc import Mapping

MINUTES = 60


class LastHour:
    """Counts of this process; it knows nothing of the time before its start."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, Counter[str]]] = deque(maxlen=MINUTES)

    def count(self, name: str, now: float, number: int = 1) -> None:
        """Count more of these at that time (Unix seconds)."""
        minute = int(now // 60)
        if not self._minutes or self._minutes[-1][0] < minute:
            self._minutes.append((minute, Counter()))
        self._minutes[-1][1][name] += number

    def sums(self, now: float) -> Mapping[str, int]:
        """Return how many there were in this minute and the 59 before it."""
        first = int(now // 60) - MINUTES + 1
        total: Counter[str] = Counter()
        for minute, counted in self._minutes:
            if minute >= first:
                total.update(counted)
        return total

"""Lanes with waiting entries and their due times: an index in memory over millions of entries on disk.

Each lane has a lower bound of its first due time, never a later one. So a claim queries only lanes that may be due.
Due lanes take turns: a served lane goes to the end.

Used in the thread of the writing connection only, except for `note`.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from relay.storage.database import Connection

NEXT_LANE = (
    "SELECT lane FROM entries INDEXED BY entries_open WHERE state IN ('waiting', 'held', 'active') "
    "AND state = 'waiting' AND lane > ? ORDER BY lane LIMIT 1"
)

FIRST_DUE = (
    "SELECT next_attempt_at FROM entries INDEXED BY entries_open WHERE state IN ('waiting', 'held', 'active') "
    "AND state = 'waiting' AND lane = ? ORDER BY next_attempt_at LIMIT 1"
)


def each_lane(raw: Connection) -> Iterator[tuple[str, float]]:
    """Yield the lanes with waiting entries and the first due time of each: one seek a lane, no scan of entries."""
    lane = ""
    while row := raw.execute(NEXT_LANE, (lane,)).fetchone():
        lane = row[0]
        yield lane, raw.execute(FIRST_DUE, (lane,)).fetchone()[0]


class DueLanes:
    """The lanes with waiting entries: due ones in order of turns, the others by time."""

    def __init__(self, read_lanes: Callable[[Connection], Iterable[tuple[str, float]]] = each_lane) -> None:
        self._read_lanes = read_lanes
        self.stale = True
        """Whether a rollback made the index doubtful; `refresh` reads it again."""
        self._ready: dict[str, float] = {}
        self._later: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}
        self._noted: deque[tuple[str, float]] = deque()

    def mark_stale(self) -> None:
        """Read the lanes again at the next refresh: a transaction was rolled back."""
        self.stale = True

    def note(self, dues: Iterable[tuple[str, float]]) -> None:
        """Add due times from any thread; the next `refresh` applies them."""
        self._noted.extend(dues)

    def refresh(self, raw: Connection) -> None:
        """Apply noted due times; read the lanes from the database when the index is stale."""
        while self._noted:
            self.add(*self._noted.popleft())
        if not self.stale:
            return
        self._ready, self._due = {}, dict(self._read_lanes(raw))
        self._later = sorted((due, lane) for lane, due in self._due.items())
        self.stale = False

    def add(self, lane: str, due: float) -> None:
        """Add a lane with an entry that waits until `due`."""
        if lane in self._ready:
            self._ready[lane] = min(due, self._ready[lane])
        elif (bound := self._due.get(lane)) is None or due < bound:
            self._put(lane, due)

    def ready(self, now: float) -> list[str]:
        """Return the lanes that may be due, in order of turns."""
        end = bisect_left(self._later, (now, "\U0010ffff"))
        for due, lane in self._later[:end]:
            self._ready[lane] = due
            del self._due[lane]
        del self._later[:end]
        return list(self._ready)

    def served(self, lane: str, due: float | None, now: float) -> None:
        """End the lane's turn. `due` is the time of its next entry, None when no entry waits."""
        self._drop(lane)
        if due is None:
            return
        if due <= now:
            self._ready[lane] = due
        else:
            self._put(lane, due)

    def next_due(self, raw: Connection, may_claim: Callable[[str], bool]) -> float | None:
        """Return the first due time of these lanes. Lower bounds are checked and corrected."""
        while (first := self._first(may_claim)) is not None:
            bound, lane = first
            row = raw.execute(FIRST_DUE, (lane,)).fetchone()
            if row is not None and row[0] == bound:
                return bound
            self._drop(lane)
            if row is not None:
                self._put(lane, row[0])
        return None

    def _first(self, may_claim: Callable[[str], bool]) -> tuple[float, str] | None:
        ready = min(((due, lane) for lane, due in self._ready.items() if may_claim(lane)), default=None)
        later = next(((due, lane) for due, lane in self._later if may_claim(lane)), None)
        return min((found for found in (ready, later) if found is not None), default=None)

    def _put(self, lane: str, due: float) -> None:
        self._drop(lane)
        self._due[lane] = due
        insort(self._later, (due, lane))

    def _drop(self, lane: str) -> None:
        self._ready.pop(lane, None)
        bound = self._due.pop(lane, None)
        if bound is not None:
            del self._later[bisect_left(self._later, (bound, lane))]

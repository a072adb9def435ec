"""Lanes with waiting entries and their due times: an index in memory over millions of entries on disk.

The entries of a lane wait in flows, by principal and priority. Each flow has a lower bound of its first due time, never
a later one. So a claim queries only flows that may be due. Due lanes take turns: a served lane goes to the end. The
flows of one lane have an order of their own (`limits.fair_order`).

Used in the thread of the writing connection only, except for `note`.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from relay.limits.fair_order import FairOrder
from relay.queue.entry import LaneFlow
from relay.storage.database import Connection

NEXT_FLOW = (
    "SELECT lane, principal, priority FROM entries INDEXED BY entries_open "
    "WHERE state = 'waiting' AND (lane, principal, priority) > (?, ?, ?) "
    "ORDER BY lane, principal, priority LIMIT 1"
)

FIRST_DUE = (
    "SELECT next_attempt_at FROM entries INDEXED BY entries_open "
    "WHERE state = 'waiting' AND lane = ? AND principal = ? AND priority = ? ORDER BY next_attempt_at LIMIT 1"
)

_COMPETING = 2
"""Ready flows of a lane that need an order."""

LAST = LaneFlow("\U0010ffff")
"""Sorts behind the flows of all lanes."""


def each_flow(raw: Connection) -> Iterator[tuple[LaneFlow, float]]:
    """Yield the flows with waiting entries and the first due time of each: one seek a flow, no scan of entries."""
    flow = LaneFlow("")
    while row := raw.execute(NEXT_FLOW, flow).fetchone():
        flow = LaneFlow(*row)
        yield flow, raw.execute(FIRST_DUE, flow).fetchone()[0]


class DueLanes:
    """The flows of lanes with waiting entries: due ones in order of turns, the others by time."""

    def __init__(self, read_flows: Callable[[Connection], Iterable[tuple[LaneFlow, float]]] = each_flow) -> None:
        self._read_flows = read_flows
        self.stale = True
        """Whether a rollback made the index doubtful; `refresh` reads it again."""
        self._ready: dict[LaneFlow, float] = {}
        self._later: list[tuple[float, LaneFlow]] = []
        self._due: dict[LaneFlow, float] = {}
        self._orders: dict[str, FairOrder] = {}
        """By lane."""
        self._noted: deque[tuple[LaneFlow, float]] = deque()

    def mark_stale(self) -> None:
        """Read the lanes again at the next refresh: a transaction was rolled back."""
        self.stale = True

    def note(self, dues: Iterable[tuple[LaneFlow, float]]) -> None:
        """Add due times from any thread; the next `refresh` applies them."""
        self._noted.extend(dues)

    def refresh(self, raw: Connection) -> None:
        """Apply noted due times; read the lanes from the database when the index is stale."""
        while self._noted:
            self.add(*self._noted.popleft())
        if not self.stale:
            return
        self._ready, self._due = {}, dict(self._read_flows(raw))
        self._later = sorted((due, flow) for flow, due in self._due.items())
        self.stale = False

    def add(self, flow: LaneFlow, due: float) -> None:
        """Add a flow with an entry that waits until `due`."""
        if flow in self._ready:
            self._ready[flow] = min(due, self._ready[flow])
        elif (bound := self._due.get(flow)) is None or due < bound:
            self._put(flow, due)

    def ready(self, now: float) -> dict[str, list[LaneFlow]]:
        """Return the flows that may be due by lane, in order of the lanes' turns."""
        end = bisect_left(self._later, (now, LAST))
        for due, flow in self._later[:end]:
            self._ready[flow] = due
            del self._due[flow]
        del self._later[:end]

        lanes: dict[str, list[LaneFlow]] = {}
        for flow in self._ready:
            lanes.setdefault(flow.lane, []).append(flow)
        for lane in [lane for lane in self._orders if len(lanes.get(lane, ())) < _COMPETING]:
            del self._orders[lane]
        return lanes

    def order(self, lane: str, flows: Sequence[LaneFlow]) -> FairOrder:
        """Return the order of turns of the ready flows of a lane. It is kept while several are ready."""
        return FairOrder() if len(flows) < _COMPETING else self._orders.setdefault(lane, FairOrder())

    def served(self, flow: LaneFlow, due: float | None, now: float) -> None:
        """End the turn of a flow. `due` is the time of its next entry, None when no entry waits."""
        self._drop(flow)
        if due is None:
            return
        if due <= now:
            self._ready[flow] = due
        else:
            self._put(flow, due)

    def passed(self, flow: LaneFlow) -> None:
        """End the turn of a ready flow that was not served with its lane."""
        self._ready[flow] = self._ready.pop(flow)

    def next_due(self, raw: Connection, may_claim: Callable[[LaneFlow], bool]) -> float | None:
        """Return the first due time of these flows. Lower bounds are checked and corrected."""
        while (first := self._first(may_claim)) is not None:
            bound, flow = first
            row = raw.execute(FIRST_DUE, flow).fetchone()
            if row is not None and row[0] == bound:
                return bound
            self._drop(flow)
            if row is not None:
                self._put(flow, row[0])
        return None

    def _first(self, may_claim: Callable[[LaneFlow], bool]) -> tuple[float, LaneFlow] | None:
        ready = min(((due, flow) for flow, due in self._ready.items() if may_claim(flow)), default=None)
        later = next(((due, flow) for due, flow in self._later if may_claim(flow)), None)
        return min((found for found in (ready, later) if found is not None), default=None)

    def _put(self, flow: LaneFlow, due: float) -> None:
        self._drop(flow)
        self._due[flow] = due
        insort(self._later, (due, flow))

    def _drop(self, flow: LaneFlow) -> None:
        self._ready.pop(flow, None)
        bound = self._due.pop(flow, None)
        if bound is not None:
            del self._later[bisect_left(self._later, (bound, flow))]

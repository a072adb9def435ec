"""Turns of flows: deficit round robin in levels, in the form of start-time fair queueing. Pure.

The levels are the accountable parties, the authors of each, and the priorities of each author. Each member of a level
has a virtual start time. The smallest is served. It moves on by the cost of the service, divided by the weight of the
priority. A flow that has not waited lately starts at the present virtual time. Its first message is next, whatever the
others have waiting (Goyal, Vin, Cheng: Start-time Fair Queueing, 1996). So no flow starves, and no backlog delays the
message of another party.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heapreplace
from typing import NamedTuple

from relay.limits.priority import Flow, Priority

_MAX_IDLE = 1000
"""Parties of which the start times are kept, at most, before those that have become meaningless are dropped."""

_Member = str | Priority
_Path = tuple[_Member, ...]


@dataclass(slots=True)
class _Times:
    """Virtual times of the members of one level."""

    now: float = 0.0
    """Start time of the service that began last."""
    next: dict[_Member, float] = field(default_factory=dict)
    """Earliest next start time of each member."""

    def start(self, member: _Member) -> float:
        """Return the start time of a member that waits."""
        return max(self.next.get(member, 0.0), self.now)


class _Turn(NamedTuple):
    """The turn of a member among the others of its level. Of equal start times the higher priority comes first."""

    start: float
    priority: Priority
    rank: int
    """Position in what was given."""
    flow: Flow
    """The next flow of the member."""
    below: "list[_Turn]"
    """Turns of the next level, as a heap; none on the last."""


class FairOrder:
    """The order of turns of one resource."""

    def __init__(self) -> None:
        self._times: dict[_Path, _Times] = {}
        """By the members above the level."""

    def order(self, flows: Iterable[Flow]) -> list[Flow]:
        """Return the flows in the order of their turns; of equal ones the higher priority first."""
        waiting = list(flows)
        if len(waiting) == 1:
            return waiting
        return list(_flows_of(self._turns([(flow, _path(flow)) for flow in waiting], ())))

    def serve(self, flow: Flow, cost: float = 1.0) -> None:
        """Count a service of this cost."""
        path, length = _path(flow), cost / flow.priority.weight
        for depth, member in enumerate(path):
            above = path[:depth]
            times = self._times.get(above)
            if times is None:
                times = self._times[above] = _Times()
            start = times.start(member)
            times.now, times.next[member] = start, start + length
        if len(self._times[()].next) > _MAX_IDLE:
            self._forget_idle()

    def allot(self, flows: Iterable[Flow], amount: int) -> dict[Flow, int]:
        """Return how many of the next `amount` services each flow gets, if none runs out. Nothing is counted."""
        allotted = dict.fromkeys(flows, 0)
        if len(allotted) == 1:
            return dict.fromkeys(allotted, amount)
        turns = self._turns([(flow, _path(flow)) for flow in allotted], ())
        for _ in range(amount):
            allotted[_serve_first(turns)] += 1
        return allotted

    def _turns(self, flows: list[tuple[Flow, _Path]], above: _Path) -> list[_Turn]:
        """Return the turns of a level in their order."""
        members: dict[_Member, list[tuple[Flow, _Path]]] = {}
        for flow, path in flows:
            members.setdefault(path[len(above)], []).append((flow, path))

        times = self._times.get(above) or _Times()
        turns: list[_Turn] = []
        for rank, (member, of_member) in enumerate(members.items()):
            first, path = of_member[0]
            below = self._turns(of_member, path[: len(above) + 1]) if len(above) + 1 < len(path) else []
            flow = below[0].flow if below else first
            turns.append(_Turn(times.start(member), flow.priority, rank, flow, below))
        return sorted(turns)

    def _forget_idle(self) -> None:
        """Drop parties whose next start time is past: they are served like new ones."""
        top = self._times[()]
        top.next = {name: at for name, at in top.next.items() if at > top.now}
        self._times = {path: times for path, times in self._times.items() if not path or path[0] in top.next}


def _path(flow: Flow) -> _Path:
    return flow.accountable, flow.principal, flow.priority


def _flows_of(turns: Iterable[_Turn]) -> Iterator[Flow]:
    for turn in turns:
        if turn.below:
            yield from _flows_of(turn.below)
        else:
            yield turn.flow


def _serve_first(turns: list[_Turn]) -> Flow:
    """Move the first turn of a heap on, with the turns below it, and return its flow."""
    start, priority, rank, flow, below = turns[0]
    served = _serve_first(below) if below else flow
    if below:
        priority, flow = below[0].priority, below[0].flow
    heapreplace(turns, _Turn(start + 1.0 / served.priority.weight, priority, rank, flow, below))
    return served

"""Turns of flows: deficit round robin in two levels, in the form of start-time fair queueing. Pure.

Each principal has a virtual start time, and each of its priorities has one beneath it. The smallest is served. It
moves on by the cost of the service, divided by the weight of the priority. A flow that has not waited lately starts at
the present virtual time: its first message is next, whatever the others have waiting (Goyal, Vin, Cheng: Start-time
Fair Queueing, 1996). So nobody starves, and no backlog delays the message of somebody else.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heapify, heapreplace

from relay.limits.priority import Flow, Priority

_MOST_IDLE = 1000
"""Principals of which the start times are kept, at most, before those that have become meaningless are dropped."""


@dataclass(slots=True)
class _Times:
    """Virtual times of one level."""

    now: float = 0.0
    """Start time of the service that began last."""
    next: dict[str | Priority, float] = field(default_factory=dict)
    """Earliest next start time of each member."""

    def start(self, member: str | Priority) -> float:
        """Return the start time of a member that waits."""
        return max(self.next.get(member, 0.0), self.now)

    def serve(self, member: str | Priority, cost: float) -> None:
        """Move a member on."""
        start = self.start(member)
        self.now, self.next[member] = start, start + cost


class FairOrder:
    """The order of turns of one resource."""

    def __init__(self) -> None:
        self._principals = _Times()
        self._priorities: dict[str, _Times] = {}

    def order(self, flows: Iterable[Flow]) -> list[Flow]:
        """Return the flows in the order of their turns; of equal ones the higher priority first."""
        waiting = self._by_principal(flows)
        turns = sorted(waiting, key=lambda name: (self._principals.start(name), waiting[name][0][1]))
        return [flow for name in turns for _, _, flow in waiting[name]]

    def serve(self, flow: Flow, cost: float = 1.0) -> None:
        """Count a service of this cost."""
        weighted = cost / flow.priority.weight
        self._principals.serve(flow.principal, weighted)
        self._priorities.setdefault(flow.principal, _Times()).serve(flow.priority, weighted)
        if len(self._priorities) > _MOST_IDLE:
            self._forget_idle()

    def allot(self, flows: Iterable[Flow], amount: int) -> dict[Flow, int]:
        """Return how many of the next `amount` services each flow gets, if none runs out. Nothing is counted."""
        allotted = dict.fromkeys(flows, 0)
        if len(allotted) == 1:
            return dict.fromkeys(allotted, amount)

        waiting = self._by_principal(allotted)
        turns = [
            (self._principals.start(name), of_principal[0][1], rank, name)
            for rank, (name, of_principal) in enumerate(waiting.items())
        ]
        heapify(turns)
        for _ in range(amount):
            start, _, rank, name = turns[0]
            own_start, priority, flow = waiting[name][0]
            allotted[flow] += 1
            cost = 1.0 / priority.weight
            heapreplace(waiting[name], (own_start + cost, priority, flow))
            heapreplace(turns, (start + cost, waiting[name][0][1], rank, name))
        return allotted

    def _by_principal(self, flows: Iterable[Flow]) -> dict[str, list[tuple[float, Priority, Flow]]]:
        """Return the flows of each principal in the order of their turns, with their own start times."""
        found: dict[str, list[tuple[float, Priority, Flow]]] = {}
        for flow in flows:
            found.setdefault(flow.principal, []).append((self._own_start(flow), flow.priority, flow))
        for of_principal in found.values():
            of_principal.sort()
        return found

    def _own_start(self, flow: Flow) -> float:
        times = self._priorities.get(flow.principal)
        return 0.0 if times is None else times.start(flow.priority)

    def _forget_idle(self) -> None:
        """Drop principals whose next start time is past: they are served like new ones."""
        now = self._principals.now
        kept = {name: at for name, at in self._principals.next.items() if at > now}
        self._principals.next = kept
        self._priorities = {name: times for name, times in self._priorities.items() if name in kept}

"""Entries in flight by accountable party and priority: no party takes more than a share that others need. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from relay.limits.priority import Flow, Priority
from relay.limits.shares import Shares

_PARTY, _CAMPAIGN = 1.0, 0.5
"""Factors of the shares: one party alone may hold half of the entries, its campaigns a third."""

RESERVED = 5
"""Entries that each party may have in flight, whatever the others hold: many that hang would leave nothing."""


@dataclass(slots=True)
class FlowTable:
    """The flows in use."""

    shares: Shares

    def start(self, flow: Flow, entries: int) -> None:
        """Add entries to those in flight."""
        self.shares.take(entries, _holders(flow))

    def finish(self, flow: Flow, entries: int) -> None:
        """Subtract entries from those in flight."""
        self.shares.give_back(entries, _holders(flow))

    def capacity(self) -> Mapping[Flow, int]:
        """Return the entries that may be claimed of each priority, for the parties in use."""
        parties = [party for party in self.shares.held if isinstance(party, str)]
        flows = [Flow(party, priority) for party in parties for priority in Priority]
        return {flow: self.capacity_of(flow) for flow in flows}

    def capacity_of(self, flow: Flow) -> int:
        """Return the entries that may be claimed of a priority of a party."""
        reserved = RESERVED - self.shares.held[flow.accountable]
        return max(reserved, min(self.shares.room(holder, factor) for holder, factor in _holders(flow).items()))

    def full(self) -> frozenset[Flow]:
        """Return the priorities of parties of which no entry may be claimed."""
        return frozenset(flow for flow, free in self.capacity().items() if free <= 0)

    def initial_capacity(self) -> int:
        """Return the entries that may be claimed for a party that is not in use."""
        return max(RESERVED, int(self.shares.free / 2))


def _holders(flow: Flow) -> Mapping[str | Flow, float]:
    if flow.priority is Priority.CAMPAIGN:
        return {flow.accountable: _PARTY, flow.of_party: _CAMPAIGN}
    return {flow.accountable: _PARTY}

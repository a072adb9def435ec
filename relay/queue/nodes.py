"""Nodes sharing a queue and each one's share of connections."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

from relay.mail.lane import BUILT_IN, split_lane


@dataclass(frozen=True, slots=True)
class NodeState:
    """State of one node. Times are Unix seconds, by the clock of the database."""

    id: str
    hostname: str
    version: str
    started_at: float
    heartbeat_at: float
    alive: bool
    """Whether its heartbeat is recent enough for its leases to be valid."""
    entries: int
    """Entries in flight."""
    clock_ahead: float = 0.0
    """Seconds that its clock is ahead of the database's."""


@dataclass(frozen=True, slots=True)
class NodeShare:
    """The share of a node. All live nodes use the same order, so their shares add up to the configured number."""

    rank: int = 0
    """Position of this node among the live nodes, from 0."""
    nodes: int = 1
    """Live nodes; 0 while this node has no share, because the others may not have counted it yet."""

    def of(self, lane: str, most: int) -> int:
        """Return the number of the `most` connections of a lane that this node may open. It may be 0.

        The remainder of the division goes to different nodes in different lanes.
        """
        if self.nodes == 1:
            return most
        if not self.nodes:
            return 0
        each, rest = divmod(most, self.nodes)
        return each + ((self.rank + crc32(lane.encode())) % self.nodes < rest)


@dataclass(frozen=True, slots=True)
class NodeConnections:
    """The connections that a node may open: those of each lane, over all nodes, and the node's share of them."""

    share: NodeShare = NodeShare()
    per_lane: int = 1
    """Connections of a lane whose provider has no number of its own."""
    providers: Mapping[str, int] = field(default_factory=dict)
    """Connections of the lane of each provider; 0 is `per_lane`."""

    def may_open(self, lane: str) -> bool:
        """Whether this node may open at least one connection of the lane.

        A domain counts for its site, which is not known before it was looked up.
        """
        provider, _ = split_lane(lane)
        if provider in BUILT_IN:
            return self.share.nodes > 0
        return self.share.of(lane, self.providers.get(provider, 0) or self.per_lane) > 0


ALL_CONNECTIONS = NodeConnections()
"""The connections of a single node: it may claim from every lane."""


def full_share(_lane: str, most: int) -> int:
    """Return `most`: the share of a single node."""
    return most

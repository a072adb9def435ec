"""Nodes sharing a queue and each one's share of connections."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

from relay.mail.lane import split_lane


@dataclass(frozen=True, slots=True)
class NodeState:
    """What is known of a node. Times are Unix seconds, by the clock of the database."""

    id: str
    hostname: str
    version: str
    started_at: float
    heartbeat_at: float
    alive: bool
    """Whether its lease holds."""
    entries: int
    """How many it has under way."""


@dataclass(frozen=True, slots=True)
class NodeShare:
    """The place of a node among those that live. All nodes know the same order, so their shares add up to the whole."""

    rank: int = 0
    nodes: int = 1
    """How many live; 0 as long as this one has no share, because the others may not know of it yet."""

    def of(self, lane: str, most: int) -> int:
        """Return how many of the `most` connections of a lane this node may have; 0 when there are more nodes.

        What does not divide evenly goes to different nodes in different lanes.
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
        """Tell whether at least one connection of the lane is this node's."""
        provider, _ = split_lane(lane)
        return self.share.of(lane, self.providers.get(provider, 0) or self.per_lane) > 0


ALL_CONNECTIONS = NodeConnections()
"""Those of a process that is alone: it may claim from every lane."""


def full_share(_lane: str, most: int) -> int:
    """Return all of it: the share of a node that is alone."""
    return most

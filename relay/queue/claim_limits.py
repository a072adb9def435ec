"""What a claim may take: limits in all, by lane, by party and priority, and by site. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from relay.limits.priority import Flow
from relay.queue.entry import LaneFlow
from relay.queue.nodes import ALL_CONNECTIONS, NodeConnections
from relay.queue.site import NO_SITE_LIMITS, SiteLimits

Holders = Mapping[str, Collection[str]]
"""The accountable parties that hold all of a lane, by lane. Each other party may have one entry in flight there."""

NO_HOLDERS: Holders = MappingProxyType({})


def is_held(holders: Holders, flow: LaneFlow) -> bool:
    """Whether the flow is one of a party that holds all of the lane, together with others."""
    return flow.lane in holders and flow.flow.accountable in holders[flow.lane]


@dataclass(frozen=True, slots=True)
class ClaimLimits:
    """Limits of one claim: entries in total, octets of content, and entries by lane.

    Recipients of one message that share a transaction are claimed together, even over a limit.
    """

    entries: int
    content_bytes: int
    """Contents beyond it, and large ones, are left in the store."""
    per_lane: int
    """Entries of a lane that is not in `lanes`."""
    lanes: Mapping[str, int]
    """Entries of each lane that is in use or paused; 0 claims none."""
    holders: Holders = field(default_factory=dict)
    """Of each of these lanes one entry is claimed, of another party than its holders."""
    flows: Mapping[Flow, int] = field(default_factory=dict)
    """Entries of each party and priority, in all lanes together (`Flow.of_party`)."""
    per_flow: int = 1 << 30
    """Entries of a party and priority that is not in `flows`."""
    connections: NodeConnections = ALL_CONNECTIONS
    """Lanes of which this node may open no connection are left to other nodes."""
    sites: SiteLimits = NO_SITE_LIMITS

    def of_lane(self, lane: str) -> int:
        """Return the entries that may be claimed of a lane."""
        return 1 if lane in self.holders else self.lanes.get(lane, self.per_lane)

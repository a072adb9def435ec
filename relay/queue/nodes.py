"""The processes that share a queue, as operators see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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


class NodeStore(Protocol):
    """A store that may be shared."""

    async def nodes(self) -> Sequence[NodeState]:
        """Return the nodes that share the store, and those that did, by host; none where nothing is shared."""

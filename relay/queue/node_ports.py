"""Protocols of what the nodes of a store share: pauses, rates of sites, and the nodes. `storage` implements them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from relay.queue.nodes import NodeShare, NodeState
from relay.queue.pause import Pause
from relay.queue.site_rate import SavedRate, SiteRate


class PauseStore(Protocol):
    """The pauses of lanes and identities. They outlast restarts, and all nodes of the store share them.

    A step of the clock moves them like the times of entries. All methods raise StoreError.
    """

    async def pauses(self, now: float) -> Sequence[Pause]:
        """Return the pauses in force, by subject."""

    async def add(self, pauses: Sequence[Pause]) -> Sequence[Pause]:
        """Add pauses; return those whose subject was not paused before, or whose decision replaces another.

        A shorter one does not end a longer one. An operator and the rates replace the pause of an application, and an
        application replaces none of theirs. Of an operator's decisions, to refuse and to hold, the later one counts.
        """

    async def end(self, subject: str, category: str = "") -> Pause | None:
        """Delete the pause of a subject, if it is of the category ("": of any); return it, None if nothing was."""


class SiteStore(Protocol):
    """The rates that were found, by site or address. They outlast restarts, and all nodes of the store share them.

    All methods raise StoreError.
    """

    async def rates(self) -> Mapping[str, SiteRate]:
        """Return all rates, by key."""

    async def save(self, rates: Sequence[SavedRate]) -> None:
        """Write rates in one transaction. A rate that another node changed later stays."""


class NodeStore(Protocol):
    """The nodes that share a store."""

    @property
    def leads(self) -> bool:
        """Whether this process runs the tasks that run once for all nodes."""

    @property
    def share(self) -> NodeShare:
        """The share of each lane's connections that this process may open: all, unless there are several nodes."""

    async def states(self) -> Sequence[NodeState]:
        """Return the present and former nodes that share the store, by host; none for a store of one process."""

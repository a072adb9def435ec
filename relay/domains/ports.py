"""What a store of sending domains must do."""

from collections.abc import Sequence
from typing import Protocol

from relay.domains.status import SetUp, Watched


class DomainWatchStore(Protocol):
    """Keeps what is known of the sending domains, for all that share the store."""

    async def watch_domains(self, domains: Sequence[SetUp], now: float) -> Sequence[Watched]:
        """Take these under watch, or note what changed about them (`set_up`); return what is known of each."""

    async def watched_domains(self) -> Sequence[Watched]:
        """Return all that were ever under watch, by name."""

    async def claim_domains(self, domains: Sequence[str], now: float, until: float) -> Sequence[Watched]:
        """Return those of the domains that are due, each to one caller only; nobody else gets them before `until`."""

    async def record_look(self, watched: Watched) -> bool:
        """Keep what a look found; tell whether the domain still wants the same records, else nothing is kept."""

    async def look_soon(self, domain: str, now: float) -> bool:
        """Make a domain due; tell whether it is under watch."""

    async def verified_domains(self) -> frozenset[str]:
        """Return the domains whose DNS shows a key that signs."""

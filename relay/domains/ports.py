"""What a store of sending domains must do."""

from collections.abc import Sequence
from typing import Protocol

from relay.domains.status import ConfiguredDomain, DomainStatus


class DomainWatchStore(Protocol):
    """Keeps what is known of the sending domains, for all that share the store."""

    async def watch_domains(self, domains: Sequence[ConfiguredDomain], now: float) -> Sequence[DomainStatus]:
        """Take these under watch, or note what changed about them (`set_up`); return what is known of each."""

    async def watched_domains(self) -> Sequence[DomainStatus]:
        """Return all that were ever under watch, by name."""

    async def claim_domains(self, domains: Sequence[str], now: float, until: float) -> Sequence[DomainStatus]:
        """Return those of the domains that are due, each to one caller only; nobody else gets them before `until`."""

    async def save_check(self, watched: DomainStatus) -> bool:
        """Keep what a look found; tell whether the domain still wants the same records, else nothing is kept."""

    async def schedule_check(self, domain: str, now: float) -> bool:
        """Make a domain due; tell whether it is under watch."""

    async def verified_domains(self) -> frozenset[str]:
        """Return the domains whose DNS shows a key that signs."""

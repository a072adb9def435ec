"""Protocol of the store of sending domains."""

from collections.abc import Sequence
from typing import Protocol

from relay.domains.status import ConfiguredDomain, DomainStatus


class DomainWatchStore(Protocol):
    """Stores the status of sending domains, shared by all nodes."""

    async def watch_domains(self, domains: Sequence[ConfiguredDomain], now: float) -> Sequence[DomainStatus]:
        """Add domains, or update their configuration (`set_up`); return the status of each."""

    async def watched_domains(self) -> Sequence[DomainStatus]:
        """Return the status of all domains ever added, by name."""

    async def claim_domains(self, domains: Sequence[str], now: float, until: float) -> Sequence[DomainStatus]:
        """Lease the domains that are due, each to one caller until `until`."""

    async def save_check(self, watched: DomainStatus) -> bool:
        """Store the result of a check. False if the wanted records changed meanwhile; then nothing is stored."""

    async def schedule_check(self, domain: str, now: float) -> bool:
        """Make a domain due; False if it is not watched."""

    async def verified_domains(self) -> frozenset[str]:
        """Return the domains whose signing key is in DNS."""

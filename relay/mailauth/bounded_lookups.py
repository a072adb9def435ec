"""DNS lookups of one evaluation, within a time for all of them: strangers publish what is looked up, and how slowly."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from relay.resolver import (
    AddressAnswer,
    AliasAnswer,
    IPAddress,
    Lookups,
    MxAnswer,
    NamesAnswer,
    TemporaryFailure,
    TextAnswer,
)

PROOF_SECONDS = 10.0
"""Seconds for the lookups of one mail, at most. SPF alone may ask for a hundred, and each may take as long."""

T = TypeVar("T")


class BoundedLookups:
    """Lookups that fail when their time is over. Implements `Lookups`; made within an event loop."""

    def __init__(self, dns: Lookups) -> None:
        self._dns = dns
        self._ends_at = asyncio.get_running_loop().time() + PROOF_SECONDS

    async def mx(self, domain: str) -> MxAnswer:
        """See `Lookups`."""
        return await self._answer(self._dns.mx(domain))

    async def addresses(self, host: str, *, ipv6: bool = True) -> AddressAnswer:
        """See `Lookups`."""
        return await self._answer(self._dns.addresses(host, ipv6=ipv6))

    async def txt(self, name: str) -> TextAnswer:
        """See `Lookups`."""
        return await self._answer(self._dns.txt(name))

    async def cname(self, name: str) -> AliasAnswer:
        """See `Lookups`."""
        return await self._answer(self._dns.cname(name))

    async def ptr(self, address: IPAddress) -> NamesAnswer:
        """See `Lookups`."""
        return await self._answer(self._dns.ptr(address))

    async def _answer(self, lookup: Awaitable[T]) -> T | TemporaryFailure:
        try:
            async with asyncio.timeout_at(self._ends_at):
                return await lookup
        except TimeoutError:
            return TemporaryFailure(f"DNS did not answer all questions about a mail within {PROOF_SECONDS:g} seconds")

"""Who may send mail that only verified identities may: kept in memory, so that accepting asks no database."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from relay.events.ports import StoreError
from relay.identities.verification import is_proven

ROUND = 60.0
"""Seconds until what other nodes found out is known here."""

Source = Callable[[], Awaitable[frozenset[str]]]
"""Returns verified addresses and domains."""


class Proven:
    """The verified addresses and domains of several sources; asked for one address, it answers at once."""

    def __init__(self, sources: Sequence[Source], trouble: Callable[[StoreError], None]) -> None:
        self._sources = tuple(sources)
        self._trouble = trouble
        self._known: frozenset[str] = frozenset()

    def __call__(self, address: str) -> bool:
        """Tell whether the address, or its domain, is verified."""
        return is_proven(self._known, address)

    async def load(self) -> None:
        """Ask the sources. Raises StoreError; what was known stays then."""
        found = [await source() for source in self._sources]
        self._known = frozenset().union(*found)

    async def keep_fresh(self) -> None:
        """Ask again every ROUND seconds, until cancelled."""
        while True:
            await asyncio.sleep(ROUND)
            try:
                await self.load()
            except StoreError as error:
                self._trouble(error)

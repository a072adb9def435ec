"""Caches the verified senders."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from relay.events.ports import StoreError
from relay.verification.model import is_proven

ROUND = 60.0
"""Seconds between two reloads of the verified senders, which other nodes may change."""

Source = Callable[[], Awaitable[frozenset[str]]]
"""Returns verified addresses and domains."""


class VerifiedSenders:
    """Cache of the verified addresses and domains of several sources."""

    def __init__(self, sources: Sequence[Source], on_error: Callable[[StoreError], None]) -> None:
        self._sources = tuple(sources)
        self._on_error = on_error
        self._known: frozenset[str] = frozenset()

    def __call__(self, address: str) -> bool:
        """Whether the address, or its domain, is verified."""
        return is_proven(self._known, address)

    async def load(self) -> None:
        """Reload from the sources. Raises StoreError; the cache is unchanged then."""
        found = [await source() for source in self._sources]
        self._known = frozenset().union(*found)

    async def keep_fresh(self) -> None:
        """Reload every ROUND seconds, until cancelled."""
        while True:
            await asyncio.sleep(ROUND)
            try:
                await self.load()
            except StoreError as error:
                self._on_error(error)

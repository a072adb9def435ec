"""The rates of sites in the store: a restart keeps them, and all nodes share them."""

import asyncio

from relay.events.ports import StoreError
from relay.queue.context import QueueContext

INTERVAL = 3.0
"""Seconds between two exchanges with the store."""


class SharedRates:
    """Writes the rates that this process found, and reads those of other nodes."""

    def __init__(self, context: QueueContext) -> None:
        self._context = context

    async def load(self) -> None:
        """Read the rates at the start. Raises StoreError."""
        await self._read()

    async def keep_fresh(self) -> None:
        """Exchange rates with the store again and again, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.exchange()

    async def exchange(self) -> None:
        """Write what changed, and read what other nodes changed. A failing store is asked again next time."""
        context = self._context
        context.rates.age(context.clock())
        unsaved = context.rates.unsaved()
        try:
            if unsaved:
                await context.sites.save(unsaved)
            if context.nodes.share.nodes != 1:
                await self._read()
        except StoreError as error:
            context.rates.not_saved(unsaved)
            context.watch.store_trouble(error)

    async def _read(self) -> None:
        found = await self._context.sites.rates()
        rates = self._context.rates
        for key, rate in found.items():
            rates.use_stored(key, rate)
        for key in [key for key, one in rates.rates().items() if one.rate is not None and key not in found]:
            rates.use_stored(key, None)

"""Keeps the index of searches: one of the nodes adds new messages, and deletes blocks of those that are gone."""

import asyncio

from relay.app.observer import Observer
from relay.clock import Clock
from relay.events.ports import StoreError
from relay.queue.node_ports import NodeStore
from relay.reports.search import SearchStore

INTERVAL = 5.0
"""Seconds between two looks for new messages."""

PAUSE = 0.05
"""Seconds between two blocks while there are more: others write in between."""

SETTLED = 30.0
"""Seconds that a message is left out: one with a smaller id may still be written, by this node or by another one."""

FORGET_INTERVAL = 3600.0
"""Seconds between two deletions of blocks whose messages are gone."""


class SearchIndexer:
    """Extends the index while this node leads."""

    def __init__(self, store: SearchStore, nodes: NodeStore, observer: Observer, clock: Clock) -> None:
        self._store = store
        self._nodes = nodes
        self._observer = observer
        self._clock = clock
        self._forgot_at = 0.0

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            indexed = await self.step() if self._nodes.leads else 0
            await asyncio.sleep(PAUSE if indexed else INTERVAL)

    async def step(self) -> int:
        """Index one block; return the number of its messages. A store that fails is reported, and tried again."""
        now = self._clock()
        try:
            indexed = await self._store.extend(now - SETTLED)
            if not indexed and now - self._forgot_at >= FORGET_INTERVAL:
                self._forgot_at = now
                await self._store.forget()
        except StoreError as error:
            self._observer.store_trouble(error)
            return 0
        return indexed

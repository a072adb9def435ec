"""Housekeeping: what a running relay does beside the mail, in rounds."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from relay.app.observer import Observer
from relay.clock import Clock
from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.queue.ports import QueueAdminStore
from relay.storage.store import Store

ROUND = 60.0
"""Seconds between two rounds: depth for the metrics, stories older than the retention."""


TROUBLE_CHECK = 1.0
"""Seconds until a store in trouble is looked at again."""


class Maintenance:
    """Looks after the store: whether it works, how deep the queue is, what is old enough to forget."""

    def __init__(self, settings: Callable[[], Settings], store: Store, observer: Observer, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._observer = observer
        self._clock = clock

    async def run(self) -> None:
        """Make rounds until cancelled; while the store is in trouble, short ones."""
        trouble = self._observer.store_failing
        while True:
            try:
                await self._round()
            except StoreError as error:
                self._observer.store_trouble(error)
            with suppress(TimeoutError):
                await asyncio.wait_for(trouble.wait(), ROUND)
                await asyncio.sleep(TROUBLE_CHECK)

    async def _round(self) -> None:
        await self._store.check()
        if self._store.nodes.leads:
            await self._look_after_all()
        else:
            self._observer.metrics.set_depth({})
        self._observer.store_recovered()

    async def _look_after_all(self) -> None:
        """Do what one of the processes that share the store does for all of them."""
        self._observer.metrics.set_depth(await depth_by_state(self._store.queue))
        purged = await self._store.queue.purge(self._clock() - self._settings().queue.retention)
        if purged:
            self._observer.log("queue.purged", messages=purged)


async def depth_by_state(queue: QueueAdminStore) -> Mapping[str, int]:
    """Return the number of entries that are not final, by state."""
    depth: dict[str, int] = {}
    for (_, state), count in (await queue.depth()).items():
        depth[state.value] = depth.get(state.value, 0) + count
    return depth

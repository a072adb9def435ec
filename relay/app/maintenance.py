"""Periodic maintenance of the store: health check, figures for the metrics, retention."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from relay.app.measurements import Measurements
from relay.app.observer import Observer
from relay.clock import Clock
from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.queue.ports import QueueAdminStore
from relay.storage.store import Store
from relay.submission.idempotency import KEPT

INTERVAL = 60.0
"""Seconds between two runs."""

RETRY_INTERVAL = 1.0
"""Seconds between two runs while the store fails."""


class Maintenance:
    """Checks the store, measures the queue, and deletes timelines older than the retention."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        store: Store,
        observer: Observer,
        clock: Clock,
        measurements: Measurements,
    ) -> None:
        self._settings = settings
        self._store = store
        self._observer = observer
        self._clock = clock
        self._measurements = measurements

    async def run(self) -> None:
        """Run until cancelled, with a shorter interval while the store fails."""
        failing = self._observer.store_failing
        while True:
            try:
                await self._run_once()
            except StoreError as error:
                self._observer.store_trouble(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await failing.wait()
                await asyncio.sleep(RETRY_INTERVAL)

    async def _run_once(self) -> None:
        seen = self._observer.store_faults
        await self._store.check()
        await self._measurements.of_this_node()
        if self._store.nodes.leads:
            await self._run_for_all_nodes()
        else:
            self._measurements.clear()
        if self._observer.store_faults == seen:  # Mail refused since the check says that the store still fails.
            self._observer.store_recovered()

    async def _run_for_all_nodes(self) -> None:
        """Do the work that one of the nodes with a common store does for all of them."""
        now = self._clock()
        await self._store.submissions.purge(now - KEPT)
        await self._store.sessions.purge(now)
        await self._store.changes.purge(now - self._settings().console.audit_retention)
        purged = await self._store.queue.purge(now - self._settings().queue.retention)
        if purged:
            self._observer.log("queue.purged", messages=purged)
        await self._measurements.of_all_nodes()  # Last: figures that cannot be read keep nothing from being purged.


async def depth_by_state(queue: QueueAdminStore) -> Mapping[str, int]:
    """Return the number of entries that are not final, by state."""
    depth: dict[str, int] = {}
    for (_, state), count in (await queue.depth()).items():
        depth[state.value] = depth.get(state.value, 0) + count
    return depth

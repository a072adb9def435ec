"""Background tasks that are not awaited."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from relay.events.ports import StoreError


class BackgroundTasks:
    """Background tasks whose failure is harmless: the next run repeats the work."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Start a task. A StoreError ends it without a log line: the next run retries."""

        async def attempt() -> None:
            with suppress(StoreError):
                await work()

        task = asyncio.create_task(attempt())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel the running tasks."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

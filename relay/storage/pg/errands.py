"""Small work done beside the rest. What the database does not do is left: the next occasion makes up for it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from relay.events.ports import StoreError


class Errands:
    """Tasks that nobody waits for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin it; a StoreError ends it and is told to nobody."""

        async def errand() -> None:
            with suppress(StoreError):
                await work()

        task = asyncio.create_task(errand())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Leave what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

"""The supervisor: keeps parts running that work by themselves; one that ends in a fault begins again after a while."""

import asyncio
from collections.abc import Awaitable, Callable

from relay.log import Emit

FIRST_WAIT = 1.0


LONGEST_WAIT = 300.0
"""Seconds before a part begins again: those after one fault, twice as many after each further one, at most these."""


SOUND = 600.0
"""Seconds a part has to run for its earlier faults to be forgotten."""


class Supervisor:
    """Runs parts until it is stopped. `first_wait` seconds pass before a part that failed begins again."""

    def __init__(self, log: Emit, first_wait: float = FIRST_WAIT) -> None:
        self._log = log
        self._first_wait = first_wait
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a part from now on. It ends when it returns; after an exception, which is logged, it begins again."""
        task = asyncio.create_task(self._keep(name, run), name=f"keeping {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel all parts; return when they have ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        clock = asyncio.get_running_loop().time
        wait = self._first_wait
        while True:
            begun = clock()
            error = await _outcome(name, run)
            if error is None:
                return
            if clock() - begun >= SOUND:
                wait = self._first_wait
            self._log("task.failed", task=name, error=repr(error), wait=wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)


async def _outcome(name: str, run: Callable[[], Awaitable[None]]) -> BaseException | None:
    """Run a part to its end; return what ended it, None when it returned."""

    async def running() -> None:
        await run()

    task = asyncio.create_task(running(), name=name)
    try:
        await asyncio.wait((task,))
    finally:
        if task.cancel():
            await asyncio.wait((task,))
    return None if task.cancelled() else task.exception()

"""The supervisor: restarts failed background tasks after a back-off."""

import asyncio
from collections.abc import Awaitable, Callable

from relay.log import Emit

FIRST_WAIT = 1.0
"""Seconds of back-off after a first failure; each further failure doubles them."""

MAX_WAIT = 300.0
"""Seconds of back-off, at most."""

CANCEL_AGAIN = 5.0
"""Seconds after which a cancelled task that has not ended is cancelled again."""

RESET_AFTER = 600.0
"""Seconds a task must run to reset the back-off."""


class Supervisor:
    """Runs background tasks until it is stopped. `first_wait` is the back-off in seconds after a first failure."""

    def __init__(self, log: Emit, first_wait: float = FIRST_WAIT) -> None:
        self._log = log
        self._first_wait = first_wait
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a task until it returns. If it raises, log the exception and restart it."""
        task = asyncio.create_task(self._keep(name, run), name=f"supervised {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        clock = asyncio.get_running_loop().time
        wait = self._first_wait
        while True:
            started = clock()
            error = await _outcome(name, run)
            if error is None:
                return
            if clock() - started >= RESET_AFTER:
                wait = self._first_wait
            self._log("task.failed", task=name, error=repr(error), wait=wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_WAIT)


async def _outcome(name: str, run: Callable[[], Awaitable[None]]) -> BaseException | None:
    """Run a task to its end; return its exception, None if it returned."""

    async def running() -> None:
        await run()

    task = asyncio.create_task(running(), name=name)
    try:
        await asyncio.wait((task,))
    finally:
        # A library may lose a cancellation. Waiting for the task without end would keep the process from stopping.
        while task.cancel():
            await asyncio.wait((task,), timeout=CANCEL_AGAIN)
    return None if task.cancelled() else task.exception()

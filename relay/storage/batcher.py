"""Combines concurrent calls into batches: calls made during one batch form the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from relay.storage.errors import AwayError

A = TypeVar("A")

R = TypeVar("R")


class Batcher(Generic[A, R]):
    """Runs single calls through a function that takes many at once.

    When a batch fails, each of its calls is tried alone, so that one bad call does not fail the others. When the
    database is unreachable, the whole batch fails at once: otherwise every call would wait for the timeout.
    """

    def __init__(self, run_batch: Callable[[Sequence[A]], Awaitable[Sequence[R]]]) -> None:
        self._run_batch = run_batch
        self._waiting: list[tuple[A, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, call: A) -> R:
        """Return the result of one call. A cancelled call is run all the same."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Complete the waiting calls."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._waiting:
            calls, self._waiting = self._waiting, []
            await self._complete(calls)

    async def _complete(self, calls: Sequence[tuple[A, asyncio.Future[R]]]) -> None:
        try:
            results = await self._run_batch([call for call, _ in calls])
        except AwayError as error:
            _fail(calls, error)
        except Exception as error:  # noqa: BLE001  any error belongs to a caller, not to this task
            if len(calls) == 1:
                _fail(calls, error)
            else:
                await asyncio.gather(*(self._complete([call]) for call in calls))
        else:
            for (_, future), result in zip(calls, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(calls: Sequence[tuple[A, asyncio.Future[R]]], error: Exception) -> None:
    for _, future in calls:
        if not future.done():
            future.set_exception(error)

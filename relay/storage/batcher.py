"""Calls made while others are under way go together: what waits when a round ends makes the next round."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from relay.storage.errors import AwayError

A = TypeVar("A")


R = TypeVar("R")


class Batcher(Generic[A, R]):
    """Answers single calls by a function that answers many at once.

    When a round of several fails, each of them is tried alone, so that one bad call harms no other; but not when the
    database is away, for then all would wait for each.
    """

    def __init__(self, answer: Callable[[Sequence[A]], Awaitable[Sequence[R]]]) -> None:
        self._answer = answer
        self._waiting: list[tuple[A, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, call: A) -> R:
        """Return the answer to one call. Cancelled, the call is answered all the same."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Answer what waits."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._waiting:
            calls, self._waiting = self._waiting, []
            await self._round(calls)

    async def _round(self, calls: Sequence[tuple[A, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._answer([call for call, _ in calls])
        except AwayError as error:
            _fail(calls, error)
        except Exception as error:  # noqa: BLE001  whatever it is belongs to a caller, not to this task
            if len(calls) == 1:
                _fail(calls, error)
            else:
                await asyncio.gather(*(self._round([call]) for call in calls))
        else:
            for (_, future), answer in zip(calls, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _fail(calls: Sequence[tuple[A, asyncio.Future[R]]], error: Exception) -> None:
    for _, future in calls:
        if not future.done():
            future.set_exception(error)

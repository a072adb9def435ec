"""A value that is read from the store at most every few seconds, however many viewers there are."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from relay.clock import Clock
from relay.events.ports import StoreError

T = TypeVar("T")

KEPT = 5.0
"""Seconds for which a value counts as new."""

SHOWN = 120.0
"""Seconds for which an older value is shown while it is read anew: no page waits for a long count."""


class Cached(Generic[T]):
    """Reads a value when it is asked for and older than KEPT. Raises StoreError like the function that reads it."""

    def __init__(self, read: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._found: tuple[float, T] | None = None
        self._reading: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """Return the value, at most SHOWN seconds old."""
        age = self._clock() - self._found[0] if self._found else SHOWN
        if self._found and 0 <= age < KEPT:
            return self._found[1]
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._refresh())
            self._reading.add_done_callback(_note_error)
        if self._found and 0 <= age < SHOWN:
            return self._found[1]
        return await asyncio.shield(self._reading)

    def forget(self) -> None:
        """Read anew for the next request: what was read before is changed."""
        self._found = None

    async def close(self) -> None:
        """End a read in progress."""
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError, StoreError):
                await self._reading

    async def _refresh(self) -> T:
        found = await self._read()
        self._found = (self._clock(), found)
        return found


def _note_error(reading: asyncio.Task[T]) -> None:
    """Read the exception of a task that is not awaited; the next request reads again."""
    if not reading.cancelled():
        reading.exception()

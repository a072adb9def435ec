"""How tests wait: for a condition, never for a time that suffices on a quiet machine."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar, cast, overload

Found = TypeVar("Found")

PATIENCE = 60.0
"""Seconds until a test that waits in vain fails. No test asserts that anything takes less."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.01, 0.5
"""Seconds between two looks at a condition."""


@overload
async def until(holds: Callable[[], Awaitable[Found]]) -> Found: ...


@overload
async def until(holds: Callable[[], Found]) -> Found: ...


async def until(holds: Callable[[], Awaitable[Found] | Found]) -> Found:
    """Wait until a condition holds that others bring about; return what it found.

    A look that takes long, such as a command, is repeated less often: it keeps others from what they have to do.
    """
    async with asyncio.timeout(PATIENCE):
        while True:
            began = time.monotonic()
            found = holds()
            if isawaitable(found):
                found = await found
            if found:
                return cast(Found, found)
            await asyncio.sleep(min(LONGEST_PAUSE, max(SHORTEST_PAUSE, 3 * (time.monotonic() - began))))

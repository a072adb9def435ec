"""How tests wait: for a condition, never for a time that suffices on a quiet machine."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

PATIENCE = 60.0
"""Seconds until a test that waits in vain fails. No test asserts that anything takes less."""


async def until(holds: Callable[[], Awaitable[Any]] | Callable[[], Any]) -> Any:
    """Wait until a condition holds that others bring about; return what it found."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = holds()
            if isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.01)

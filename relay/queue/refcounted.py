"""Values that are made once, while several tasks use them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Use(Generic[V]):
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    made: list[V] = field(default_factory=list)
    """The value, once it is made."""
    users: int = 0


class RefCounted(Generic[K, V]):
    """Values in use, by key. `close` is called with a value after its last use."""

    def __init__(self, close: Callable[[V], None]) -> None:
        self._close = close
        self._uses: dict[K, _Use[V]] = {}

    @asynccontextmanager
    async def use(self, key: K, make: Callable[[], Awaitable[V]]) -> AsyncIterator[V]:
        """Make the value of the key, or use that of another task. Where `make` raises, the next user calls its own."""
        use = self._uses.setdefault(key, _Use())
        use.users += 1
        try:
            async with use.making:
                if not use.made:
                    use.made.append(await make())
            yield use.made[0]
        finally:
            use.users -= 1
            if not use.users:
                del self._uses[key]
                for value in use.made:
                    self._close(value)

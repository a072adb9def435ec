"""Values that are made once, while several tasks use them."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
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

    async def acquire(self, key: K, make: Callable[[], Awaitable[V]]) -> V:
        """Make the value of the key, or use that of another task, until `release`.

        Where `make` raises, there is nothing to release, and the next user calls its own.
        """
        use = self._uses.get(key)
        if use is None:
            use = self._uses[key] = _Use()
        use.users += 1
        try:
            async with use.making:
                if not use.made:
                    use.made.append(await make())
        except BaseException:
            self.release(key)
            raise
        return use.made[0]

    def release(self, key: K) -> None:
        """End the use of a value. The last one closes it."""
        use = self._uses[key]
        use.users -= 1
        if not use.users:
            del self._uses[key]
            for value in use.made:
                self._close(value)

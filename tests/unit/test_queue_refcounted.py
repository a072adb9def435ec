"""Values that several tasks use are made once, and closed after the last use."""

import asyncio

import pytest

from relay.queue.refcounted import RefCounted


class Counting:
    def __init__(self) -> None:
        self.made = 0
        self.closed: list[int] = []
        self.values: RefCounted[str, int] = RefCounted(self.closed.append)
        self.gate = asyncio.Event()

    async def make(self) -> int:
        self.made += 1
        number = self.made
        await self.gate.wait()
        return number

    async def use(self, key: str = "a") -> int:
        value = await self.values.acquire(key, self.make)
        await asyncio.sleep(0)
        self.values.release(key)
        return value


async def test_tasks_at_the_same_time_share_a_value() -> None:
    counting = Counting()
    users = [asyncio.create_task(counting.use()) for _ in range(3)]
    await asyncio.sleep(0)
    counting.gate.set()
    assert await asyncio.gather(*users) == [1, 1, 1]
    assert (counting.made, counting.closed) == (1, [1])
    assert await counting.use() == 2


async def test_another_user_makes_the_value_when_the_first_is_cancelled() -> None:
    counting = Counting()
    first, second = asyncio.create_task(counting.use()), asyncio.create_task(counting.use())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    counting.gate.set()
    assert await second == 2
    assert counting.closed == [2]


async def test_an_exception_reaches_its_own_user() -> None:
    counting = Counting()

    async def fail() -> int:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        await counting.values.acquire("a", fail)
    counting.gate.set()
    assert await counting.use() == 1

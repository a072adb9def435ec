"""A cached value: read once for many viewers, shown while it is read anew, and errors are those of the reader."""

import asyncio

import pytest

from relay.console.cached import KEPT, SHOWN, Cached
from relay.events.ports import StoreError


class Reader:
    """Counts reads, and fails when it is told to."""

    def __init__(self) -> None:
        self.reads = 0
        self.fails = False
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def __call__(self) -> int:
        self.reads += 1
        number = self.reads
        await self.may_end.wait()
        if self.fails:
            raise StoreError("away")
        return number


async def test_many_viewers_cause_one_read() -> None:
    now, reader = [1000.0], Reader()
    cached = Cached(reader, lambda: now[0])
    assert await asyncio.gather(*(cached() for _ in range(10))) == [1] * 10
    now[0] += KEPT - 0.1
    assert await cached() == 1
    assert reader.reads == 1


async def test_an_older_value_is_shown_while_it_is_read_anew() -> None:
    now, reader = [1000.0], Reader()
    cached = Cached(reader, lambda: now[0])
    await cached()
    reader.may_end.clear()
    now[0] += KEPT + 1
    assert await cached() == 1, "nobody waits"
    reader.may_end.set()
    while await cached() != 2:
        await asyncio.sleep(0)
    now[0] += SHOWN + 1
    assert await cached() == 3, "what is too old is waited for"


async def test_errors_are_those_of_the_reader_and_the_next_request_reads_again() -> None:
    now, reader = [1000.0], Reader()
    cached = Cached(reader, lambda: now[0])
    reader.fails = True
    with pytest.raises(StoreError):
        await cached()
    reader.fails = False
    assert await cached() == 2
    now[0] += KEPT + 1
    reader.fails = True
    assert await cached() == 2, "an older value is better than none"
    now[0] += SHOWN + 1
    with pytest.raises(StoreError):
        await cached()


async def test_a_clock_that_is_set_back_reads_again() -> None:
    now, reader = [1000.0], Reader()
    cached = Cached(reader, lambda: now[0])
    await cached()
    now[0] -= 500
    assert await cached() == 2


async def test_closing_ends_a_read_in_progress() -> None:
    reader = Reader()
    reader.may_end.clear()
    cached = Cached(reader, lambda: 1000.0)
    waiting = asyncio.create_task(cached())
    while not reader.reads:
        await asyncio.sleep(0)
    await cached.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting

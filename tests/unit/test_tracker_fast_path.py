"""The express lane: who is answered when."""

import asyncio
from collections.abc import Callable

from relay.tracker.fast_path import ROUND, PixelFastPath, PixelRequest
from tests.servers.waiting import PATIENCE


def request(number: int) -> bytes:
    return f"GET /o/{number} HTTP/1.1\r\nHost: t.example\r\n\r\n".encode()


class Reader:
    """A connection that notes what it is answered."""

    client = "192.0.2.1"

    def __init__(self, number: int, told: list[tuple[int, bytes | None]]) -> None:
        self.number = number
        self.asked = request(number)
        self._told = told

    def settle(self, answer: bytes | None) -> None:
        self._told.append((self.number, answer))


class Harness:
    """A lane, who comes to it, and what they were told."""

    def __init__(self, right_of_way: Callable[[], float] = lambda: 0.0) -> None:
        self.told: list[tuple[int, bytes | None]] = []
        self.answered: list[str] = []
        self.lane = PixelFastPath(self._answer, right_of_way)

    def _answer(self, fetch: PixelRequest, client: str) -> bytes | None:
        assert client == Reader.client
        self.answered.append(fetch.token)
        return None if fetch.token == "0" else fetch.token.encode()

    def come(self, count: int) -> list[Reader]:
        readers = [Reader(number, self.told) for number in range(count)]
        assert all(self.lane.take(reader, reader.asked) for reader in readers)
        return readers


async def test_all_of_a_turn_are_one_round_and_nothing_is_said_before_it() -> None:
    house = Harness()
    house.come(3)
    assert house.told == []
    await asyncio.sleep(0)
    assert house.told == [(0, None), (1, b"1"), (2, b"2")]


async def test_a_round_is_bounded_and_the_next_one_goes_on() -> None:
    house = Harness()
    house.come(2 * ROUND + 1)
    counts = []
    for _ in range(4):
        await asyncio.sleep(0)
        counts.append(len(house.told))
    assert counts == [ROUND, 2 * ROUND, 2 * ROUND + 1, 2 * ROUND + 1]
    assert [number for number, _ in house.told] == list(range(2 * ROUND + 1))


async def test_what_has_the_right_of_way_is_waited_for_by_all_together() -> None:
    waits = iter([0.02, 0.0])
    house = Harness(lambda: next(waits))
    house.come(1)
    await asyncio.sleep(0)
    late = Reader(9, house.told)
    assert house.lane.take(late, late.asked)
    await asyncio.sleep(0)
    assert house.told == []
    async with asyncio.timeout(PATIENCE):
        while not house.told:
            await asyncio.sleep(0.001)
    assert house.told == [(0, None), (9, b"9")]


async def test_who_has_left_is_not_answered() -> None:
    house = Harness()
    first, second = house.come(2)
    first.asked = b""
    await asyncio.sleep(0)
    assert house.told == [(second.number, b"1")]
    assert house.answered == ["1"]


async def test_closing_answers_all_who_wait() -> None:
    house = Harness(lambda: 60.0)
    house.come(ROUND + 1)
    house.lane.close()
    assert len(house.told) == ROUND + 1


async def test_what_is_not_commonplace_is_not_taken() -> None:
    house = Harness()
    reader = Reader(1, house.told)
    assert not house.lane.take(reader, reader.asked + b"x")
    await asyncio.sleep(0)
    assert house.answered == []

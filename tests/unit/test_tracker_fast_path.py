"""The fast path: order, size and delay of the batches."""

import asyncio
from collections.abc import Callable, Sequence

from relay.rewrite.tokens import Kind, Token, sign_token
from relay.tracker.fast_path import MAX_BATCH, FastPath, FastRequest
from tests.property.tracker_requests import KEYS, QUEUE_ID
from tests.servers.waiting import PATIENCE


def request(number: int) -> bytes:
    token = sign_token(KEYS, Token(Kind.OPEN, QUEUE_ID, number))
    return f"GET /o/{token} HTTP/1.1\r\nHost: t.example\r\n\r\n".encode()


class FakeConnection:
    """A connection that records the answers it is given."""

    client = "192.0.2.1"

    def __init__(self, number: int, responses: list[tuple[int, bytes | None]]) -> None:
        self.number = number
        self.pending = request(number)
        self._responses = responses

    def respond(self, answer: bytes | None, now: float) -> None:
        assert now <= asyncio.get_running_loop().time()
        self._responses.append((self.number, answer))


class Harness:
    """A fast path and the answers it gave: the numbers of the tokens. Number 0 is invalid."""

    def __init__(self, delay: Callable[[], float] = lambda: 0.0) -> None:
        self.responses: list[tuple[int, bytes | None]] = []
        self.answered: list[str] = []
        self.fast_path = FastPath(self._answers, delay)

    def _answers(self, batch: Sequence[FastRequest]) -> list[bytes | None]:
        assert {peer for *_, peer in batch} <= {FakeConnection.client}
        numbers = [str(parts[3]) for _, parts, *_ in batch]
        self.answered += numbers
        return [None if number == "0" else number.encode() for number in numbers]

    def send(self, count: int) -> list[FakeConnection]:
        connections = [FakeConnection(number, self.responses) for number in range(count)]
        assert all(self.fast_path.accept(connection, connection.pending) for connection in connections)
        return connections


async def test_requests_of_one_iteration_are_one_batch_answered_in_the_next() -> None:
    harness = Harness()
    harness.send(3)
    assert harness.responses == []
    await asyncio.sleep(0)
    assert harness.responses == [(0, None), (1, b"1"), (2, b"2")]


async def test_a_batch_is_bounded_and_the_next_one_continues() -> None:
    harness = Harness()
    harness.send(2 * MAX_BATCH + 1)
    counts = []
    for _ in range(4):
        await asyncio.sleep(0)
        counts.append(len(harness.responses))
    assert counts == [MAX_BATCH, 2 * MAX_BATCH, 2 * MAX_BATCH + 1, 2 * MAX_BATCH + 1]
    assert [number for number, _ in harness.responses] == list(range(2 * MAX_BATCH + 1))


async def test_a_delay_holds_the_whole_batch() -> None:
    delays = iter([0.02, 0.0])
    harness = Harness(lambda: next(delays))
    harness.send(1)
    await asyncio.sleep(0)
    late = FakeConnection(9, harness.responses)
    assert harness.fast_path.accept(late, late.pending)
    await asyncio.sleep(0)
    assert harness.responses == []
    async with asyncio.timeout(PATIENCE):
        while not harness.responses:
            await asyncio.sleep(0.001)
    assert harness.responses == [(0, None), (9, b"9")]


async def test_a_request_that_aiohttp_took_over_is_not_answered() -> None:
    harness = Harness()
    first, second = harness.send(2)
    first.pending = b""
    await asyncio.sleep(0)
    assert harness.responses == [(second.number, b"1")]
    assert harness.answered == ["1"]


async def test_closing_answers_all_queued_requests() -> None:
    harness = Harness(lambda: 60.0)
    harness.send(MAX_BATCH + 1)
    harness.fast_path.close()
    assert len(harness.responses) == MAX_BATCH + 1


async def test_other_requests_are_not_accepted() -> None:
    harness = Harness()
    connection = FakeConnection(1, harness.responses)
    assert not harness.fast_path.accept(connection, connection.pending + b"x")
    await asyncio.sleep(0)
    assert harness.answered == []

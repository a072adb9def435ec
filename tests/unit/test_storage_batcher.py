"""Rounds: calls go together, fail alone, and wait for nobody when the database is away."""

import asyncio
from collections.abc import Sequence

import pytest

from relay.storage.batcher import Batcher
from relay.storage.errors import AwayError


class Doubler:
    """Answers with twice the number, after a turn of the loop; refuses odd ones."""

    def __init__(self, *, away: bool = False) -> None:
        self.rounds: list[Sequence[int]] = []
        self.away = away
        self.ask = Batcher[int, int](self._answer)

    async def _answer(self, calls: Sequence[int]) -> Sequence[int]:
        self.rounds.append(calls)
        await asyncio.sleep(0)
        if self.away:
            raise AwayError("gone")
        if any(call % 2 for call in calls):
            raise ValueError("odd")
        return [2 * call for call in calls]


async def test_what_comes_while_one_round_is_under_way_makes_the_next() -> None:
    doubler = Doubler()
    first = asyncio.create_task(doubler.ask(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(doubler.ask(call)) for call in (4, 6, 8)]
    assert await asyncio.gather(first, *rest) == [4, 8, 12, 16]
    assert doubler.rounds == [[2], [4, 6, 8]]


async def test_a_bad_call_fails_alone() -> None:
    doubler = Doubler()
    answers = await asyncio.gather(*(doubler.ask(call) for call in (2, 3, 4)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["4", "odd", "8"]


async def test_nobody_is_tried_alone_when_the_database_is_away() -> None:
    doubler = Doubler(away=True)
    answers = await asyncio.gather(*(doubler.ask(call) for call in (2, 4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [AwayError, AwayError]
    assert doubler.rounds == [[2, 4]]


async def test_a_caller_that_left_keeps_the_others_their_answers() -> None:
    doubler = Doubler()
    tasks = [asyncio.create_task(doubler.ask(call)) for call in (2, 4)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert await tasks[1] == 8
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    await doubler.ask.close()

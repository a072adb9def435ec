"""A wall clock that is set while mail waits or is on its way: it ages no mail, and time that really passed does."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from relay.queue.clock_guard import ClockGuard
from relay.queue.context import QueueContext
from relay.queue.entry import Entry, State
from relay.queue.retry import RetrySchedule
from tests.unit.test_queue_runner import BUSY, NOW, Harness, running

HOUR = 3600.0


LIFETIME = 72 * HOUR


def set_clock(house: Harness, step: float) -> None:
    house.now += step
    house.clock_set_by += step
    house.runner.wake()


def let_pass(house: Harness, seconds: float) -> None:
    house.now += seconds
    house.runner.wake()


async def until_tried(house: Harness, times: int) -> Entry:
    async def tried() -> bool:
        return [one.attempts for one in await house.entries()] == [times] and all(
            one.state is not State.ACTIVE for one in await house.entries()
        )

    await house.until(tried)
    (found,) = await house.entries()
    return found


@pytest.mark.parametrize("step", [HOUR, LIFETIME + HOUR])
async def test_mail_that_waits_is_not_aged(tmp_path: Path, step: float) -> None:
    async with running(tmp_path) as house:
        house.delivery.answers = [BUSY] * 9
        await house.enqueue("a@x.test")
        first = await until_tried(house, 1)
        set_clock(house, step)
        again = await until_tried(house, 2)
        assert (again.state, again.expires_at) == (State.WAITING, first.expires_at + step)
        set_clock(house, -step)

        async def noticed() -> bool:
            return house.steps == [step, -step]

        await house.until(noticed)
        let_pass(house, 13.5 * HOUR)
        third = await until_tried(house, 3)
        assert third.state is State.WAITING
        assert house.now + 50 * HOUR < third.expires_at <= house.now + LIFETIME
        let_pass(house, LIFETIME)
        assert (await until_tried(house, 4)).state is State.BOUNCED


async def test_mail_on_its_way_is_not_aged(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.delivery.answers = [BUSY] * 9
        house.delivery.gate.clear()
        await house.enqueue("a@x.test")

        async def under_way() -> bool:
            return bool(house.delivery.jobs)

        await house.until(under_way)
        set_clock(house, LIFETIME + HOUR)
        house.delivery.gate.set()
        found = await until_tried(house, 1)
        assert (found.state, found.expires_at) == (State.WAITING, found.created_at + 2 * LIFETIME + HOUR)


async def test_a_store_in_trouble_follows_once_it_answers(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.delivery.answers = [BUSY] * 9
        await house.enqueue("a@x.test")
        await until_tried(house, 1)
        house.troubled.troubles["clock_set"] = 3
        set_clock(house, LIFETIME + HOUR)
        assert (await until_tried(house, 2)).state is State.WAITING
        assert len(house.troubles) == 3


async def test_small_corrections_are_no_steps_even_when_they_add_up() -> None:
    walls = [NOW + 4.0 * looks for looks in range(20)]
    told: list[float] = []
    tools = SimpleNamespace(clock=lambda: walls[0], steady=lambda: 0.0, watch=SimpleNamespace(clock_set=told.append))
    keeper = ClockGuard(cast("QueueContext", tools))
    for _ in range(19):
        del walls[0]
        assert await keeper.check(RetrySchedule((60.0,), LIFETIME)) == 0.0
    assert told == []

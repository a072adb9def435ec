"""A wall clock that is set while mail waits or is on its way: it ages no mail, and time that really passed does."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from relay.queue.clock_guard import ClockGuard
from relay.queue.context import QueueContext
from relay.queue.entry import Entry, State
from relay.queue.retry import RetrySchedule
from tests.unit.queue_harness import BUSY, NOW, Harness, running

HOUR = 3600.0

LIFETIME = 72 * HOUR


def set_clock(harness: Harness, step: float) -> None:
    harness.now += step
    harness.clock_set_by += step
    harness.runner.wake()


def let_pass(harness: Harness, seconds: float) -> None:
    harness.now += seconds
    harness.runner.wake()


async def until_tried(harness: Harness, times: int) -> Entry:
    async def tried() -> bool:
        return [one.attempts for one in await harness.entries()] == [times] and all(
            one.state is not State.ACTIVE for one in await harness.entries()
        )

    await harness.until(tried)
    (found,) = await harness.entries()
    return found


@pytest.mark.parametrize("step", [HOUR, LIFETIME + HOUR])
async def test_a_clock_step_keeps_the_lifetime_of_waiting_mail(tmp_path: Path, step: float) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.answers = [BUSY] * 9
        await harness.enqueue("a@x.test")
        first = await until_tried(harness, 1)
        set_clock(harness, step)
        again = await until_tried(harness, 2)
        assert (again.state, again.expires_at) == (State.WAITING, first.expires_at + step)
        set_clock(harness, -step)

        async def noticed() -> bool:
            return harness.steps == [step, -step]

        await harness.until(noticed)
        let_pass(harness, 13.5 * HOUR)
        third = await until_tried(harness, 3)
        assert third.state is State.WAITING
        assert harness.now + 50 * HOUR < third.expires_at <= harness.now + LIFETIME
        let_pass(harness, LIFETIME)
        assert (await until_tried(harness, 4)).state is State.BOUNCED


async def test_a_clock_step_keeps_the_lifetime_of_mail_in_flight(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.answers = [BUSY] * 9
        harness.delivery.gate.clear()
        await harness.enqueue("a@x.test")

        async def under_way() -> bool:
            return bool(harness.delivery.jobs)

        await harness.until(under_way)
        set_clock(harness, LIFETIME + HOUR)
        harness.delivery.gate.set()
        found = await until_tried(harness, 1)
        assert (found.state, found.expires_at) == (State.WAITING, found.created_at + 2 * LIFETIME + HOUR)


async def test_a_clock_step_between_the_reply_and_the_attempt_keeps_the_lifetime(tmp_path: Path) -> None:
    """A new message is handed over to delivery: its attempt begins a turn of the event loop after its acceptance."""
    async with running(tmp_path) as harness:
        harness.delivery.answers = [BUSY] * 9

        async def resting() -> bool:
            return harness.runner._hand_over._idle is not None

        await harness.until(resting)
        await harness.runner.enqueue(harness.new("a@x.test"))
        set_clock(harness, LIFETIME + HOUR)
        found = await until_tried(harness, 1)
        assert (found.state, found.expires_at) == (State.WAITING, found.created_at + 2 * LIFETIME + HOUR)


async def test_mail_in_flight_lives_no_longer_when_the_clock_is_set_back(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.answers = [BUSY] * 9
        harness.delivery.gate.clear()
        await harness.enqueue("a@x.test")

        async def under_way() -> bool:
            return bool(harness.delivery.jobs)

        await harness.until(under_way)
        set_clock(harness, -100 * HOUR)
        harness.delivery.gate.set()
        found = await until_tried(harness, 1)
        assert (found.state, found.expires_at) == (State.WAITING, harness.now + LIFETIME)


async def test_a_failing_store_is_shifted_once_it_answers(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.answers = [BUSY] * 9
        await harness.enqueue("a@x.test")
        await until_tried(harness, 1)
        harness.flaky_store.failures["shift_clock"] = 3
        set_clock(harness, LIFETIME + HOUR)
        assert (await until_tried(harness, 2)).state is State.WAITING
        assert len(harness.store_errors) == 3


async def test_small_corrections_are_no_steps_even_when_they_add_up() -> None:
    walls = [NOW + 4.0 * looks for looks in range(20)]
    steps: list[float] = []
    context = SimpleNamespace(clock=lambda: walls[0], steady=lambda: 0.0, watch=SimpleNamespace(clock_set=steps.append))
    keeper = ClockGuard(cast("QueueContext", context))
    for _ in range(19):
        del walls[0]
        assert await keeper.check(RetrySchedule((60.0,), LIFETIME)) == 0.0
    assert steps == []

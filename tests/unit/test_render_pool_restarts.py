"""The pool of renderers: pauses between restarts, and what mail does meanwhile."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay.render import process as render_process
from relay.render import process_group
from relay.render.process_group import MAX_WAIT, UNAVAILABLE_AFTER, pause
from relay.render.render import render
from tests.unit.render_pool_harness import CONTENT, KEYS, STORED, Pool, pool, program


@asynccontextmanager
async def broken(**options: float) -> AsyncIterator[Pool]:
    """A pool whose renderers may never be ready."""
    started = Pool(**options)  # type: ignore[arg-type]
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pauses a thousandth of what they are."""
    monkeypatch.setattr(process_group, "FIRST_WAIT", process_group.FIRST_WAIT / 1000)


def test_pauses_between_restarts_grow_to_a_bound() -> None:
    assert [pause(number) for number in range(8)] == [0, 1, 2, 4, 8, 16, 32, MAX_WAIT]
    assert pause(10**6) == MAX_WAIT


async def test_a_renderer_that_dies_at_its_start_is_restarted_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program(monkeypatch, "sys.exit(3)")
    quick(monkeypatch)
    async with broken() as started:
        await started.until(lambda: len(started.restarts) == 5)
        assert started.restarts[:5] == [
            ("not started: exit status 3", wait) for wait in (0, 0.001, 0.002, 0.004, 0.008)
        ]


async def test_a_renderer_that_answered_is_replaced_at_once() -> None:
    async with pool() as started:
        for number in range(1, 4):
            await started.render(STORED, [0], eight_bit=True)
            os.kill(started.pids[0], signal.SIGKILL)
            await started.until(lambda: len(started.restarts) == number)  # noqa: B023
        assert started.restarts == [("signal SIGKILL", 0.0)] * 3


async def test_mail_waits_while_no_renderer_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = render_process.PROGRAM
    program(monkeypatch, "sys.exit(3)")
    quick(monkeypatch)
    async with broken() as started:
        asked = asyncio.create_task(started.render(STORED, [0], eight_bit=True))
        await started.until(lambda: len(started.restarts) > UNAVAILABLE_AFTER)
        assert not asked.done()
        monkeypatch.setattr(render_process, "PROGRAM", whole)
        assert await asked == render(STORED, [0], KEYS, eight_bit=True)
        assert started.failures == []


async def test_mail_goes_out_unmodified_where_it_is_not_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, "sys.exit(3)")
    quick(monkeypatch)
    async with broken(send_unmodified=True) as started:
        (rendering,) = await started.render(STORED, [0], eight_bit=True)
        assert rendering.content == CONTENT
        assert rendering.notes == {"skipped": ["rendering failed: no renderer can be started"]}
        assert len(started.restarts) >= UNAVAILABLE_AFTER

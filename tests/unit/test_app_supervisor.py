"""Failed tasks restart with a growing back-off; tasks that return or are stopped do not."""

import asyncio
from contextlib import suppress

import pytest

from relay.app import supervisor as supervisor_module
from relay.app.supervisor import Supervisor
from tests.servers.waiting import PATIENCE


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def __call__(self, event: str, /, **fields: object) -> None:
        self.lines.append((event, fields))


async def test_a_failed_task_restarts_after_a_doubled_back_off() -> None:
    log, begun = Log(), 0
    done = asyncio.Event()

    async def part() -> None:
        nonlocal begun
        begun += 1
        if begun < 4:
            raise RuntimeError(f"fault {begun}")
        done.set()

    supervisor = Supervisor(log, first_wait=0.001)
    supervisor.keep("part", part)
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    await supervisor.stop()
    assert begun == 4
    assert [(event, line["task"], line["wait"]) for event, line in log.lines] == [
        ("task.failed", "part", 0.001),
        ("task.failed", "part", 0.002),
        ("task.failed", "part", 0.004),
    ]
    assert log.lines[0][1]["error"] == "RuntimeError('fault 1')"


async def test_stopping_cancels_a_task_and_waits_for_its_end() -> None:
    log = Log()
    begun, ended = asyncio.Event(), asyncio.Event()

    async def part() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.set()

    supervisor = Supervisor(log)
    supervisor.keep("part", part)
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
        await supervisor.stop()
    assert ended.is_set()
    assert not log.lines


async def test_a_task_in_back_off_is_stopped_too() -> None:
    log, failed = Log(), asyncio.Event()

    async def part() -> None:
        failed.set()
        raise RuntimeError("fault")

    supervisor = Supervisor(log, first_wait=60)
    supervisor.keep("part", part)
    async with asyncio.timeout(PATIENCE):
        await failed.wait()
        await supervisor.stop()


async def test_stopping_ends_a_task_that_loses_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "CANCEL_AGAIN", 0.01)
    begun = asyncio.Event()

    async def part() -> None:
        for _ in range(2):
            begun.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    supervisor = Supervisor(Log())
    supervisor.keep("part", part)
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
        await supervisor.stop()

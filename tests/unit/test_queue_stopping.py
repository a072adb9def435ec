"""Stopping while a claim is on its way: what it brings is delivered and settled, not cut and sent again."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from relay.queue.entry import State
from relay.queue.message import ClaimedBatch
from relay.queue.ports import ClaimLimits
from tests.servers.waiting import PATIENCE
from tests.unit.test_queue_runner import running


async def test_what_is_being_claimed_is_settled_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as house:
        claimed, gate = asyncio.Event(), asyncio.Event()
        claim = house.store.queue.claim

        async def slow(now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
            found = await claim(now, room)
            if found:
                claimed.set()
                await gate.wait()
            return found

        monkeypatch.setattr(house.store.queue, "claim", slow)
        await house.enqueue("a@x.test")
        await claimed.wait()
        stopping = asyncio.create_task(house.runner.stop(10))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        house.delivery.gate.clear()
        gate.set()
        await asyncio.sleep(0.05)
        assert not stopping.done(), "its delivery is under way"
        house.delivery.gate.set()
        await stopping
        assert [one.state for one in await house.entries()] == [State.DELIVERED]


async def test_a_claim_that_hangs_holds_the_end_no_longer_than_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as house:
        gate = asyncio.Event()

        async def hanging(now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
            await gate.wait()
            return ()

        monkeypatch.setattr(house.store.queue, "claim", hanging)
        house.runner.wake()
        await asyncio.sleep(0.05)
        async with asyncio.timeout(PATIENCE):
            await house.runner.stop(0.1)
        gate.set()

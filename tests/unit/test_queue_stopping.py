"""Stopping while a claim is on its way: what it brings is delivered and settled, not cut and sent again."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import State
from relay.queue.message import ClaimedBatch
from relay.storage import claim as claim_module
from tests.servers.waiting import PATIENCE
from tests.unit.queue_harness import running


async def test_entries_being_claimed_are_settled_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as harness:
        claimed, gate = asyncio.Event(), asyncio.Event()
        claim = harness.store.queue.claim

        async def slow(now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
            found = await claim(now, room)
            if found:
                claimed.set()
                await gate.wait()
            return found

        monkeypatch.setattr(harness.store.queue, "claim", slow)
        await harness.enqueue("a@x.test")
        await claimed.wait()
        stopping = asyncio.create_task(harness.runner.stop(10))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        harness.delivery.gate.clear()
        gate.set()
        await asyncio.sleep(0.05)
        assert not stopping.done(), "its delivery is under way"
        harness.delivery.gate.set()
        await stopping
        assert [one.state for one in await harness.entries()] == [State.DELIVERED]


async def test_a_claim_that_hangs_delays_the_end_by_the_grace_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as harness:
        gate = asyncio.Event()

        async def hanging(now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
            await gate.wait()
            return ()

        monkeypatch.setattr(harness.store.queue, "claim", hanging)
        harness.runner.wake()
        await asyncio.sleep(0.05)
        async with asyncio.timeout(PATIENCE):
            await harness.runner.stop(0.1)
        gate.set()


async def test_a_claim_that_outlasts_the_grace_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as harness:
        gate, taken = threading.Event(), threading.Event()
        claim = claim_module.claim

        def slow(*given: Any) -> Callable[[Any], Sequence[ClaimedBatch]]:
            operation = claim(*given)

            def late(raw: Any) -> Sequence[ClaimedBatch]:
                found = operation(raw)
                if found:
                    taken.set()
                    gate.wait(PATIENCE)
                return found

            return late

        monkeypatch.setattr(claim_module, "claim", slow)
        await harness.enqueue("a@x.test")
        await asyncio.to_thread(taken.wait, PATIENCE)
        await harness.runner.stop(0.05)
        gate.set()

        async def is_back() -> bool:
            return [one.state for one in await harness.entries()] == [State.WAITING]

        await harness.until(is_back)
        assert harness.delivery.jobs == []

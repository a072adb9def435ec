"""New messages are attempted without a claim, and only where a claim would have taken them at once."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from relay.events.ports import StoreError
from relay.limits.priority import Flow
from relay.queue import in_flight
from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import LaneFlow, State
from relay.queue.message import ClaimedBatch, NewMessage
from relay.queue.operator_actions import hold
from relay.queue.ports import EntryQuery
from tests.unit.queue_harness import BUSY, Harness, hand_over, rests, running


class Claims:
    """Counts the claims of a runner that found something."""

    def __init__(self, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: list[str] = []
        claim = harness.store.queue.claim

        async def counted(now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
            batches = await claim(now, room)
            self.found += [batch.message.queue_id for batch in batches]
            return batches

        monkeypatch.setattr(harness.store.queue, "claim", counted)


async def test_a_new_message_is_delivered_without_a_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as harness:
        claims = Claims(harness, monkeypatch)
        await rests(harness)
        harness.delivery.gate.clear()
        await harness.runner.enqueue(harness.new("a@x.test", "b@x.test", "c@y.test"))
        assert [one.state for one in await harness.entries()] == [State.ACTIVE] * 3
        harness.delivery.gate.set()
        entries = await harness.until_settled()
        assert [(one.state, one.attempts) for one in entries] == [(State.DELIVERED, 1)] * 3
        assert sorted(len(job.entries) for _, job, _ in harness.delivery.jobs) == [1, 2]
        assert claims.found == []
        assert not hand_over(harness)._attempts._entries
        assert not hand_over(harness)._attempts._content


async def test_a_deferred_message_is_claimed_when_it_is_due_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as harness:
        claims = Claims(harness, monkeypatch)
        harness.delivery.answers = [BUSY]
        await rests(harness)
        await harness.runner.enqueue(harness.new("a@x.test"))
        (entry,) = await harness.until_settled()
        assert entry.state is State.WAITING
        harness.now = entry.next_attempt_at
        harness.runner.wake()

        async def delivered() -> bool:
            return (await harness.entries())[0].state is State.DELIVERED

        await harness.until(delivered)
        assert claims.found == ["0000000000000A"]


async def test_a_message_behind_an_older_one_of_its_lane_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as harness:
        claims = Claims(harness, monkeypatch)
        harness.delivery.gate.clear()
        await rests(harness)
        names = [f"000000000000{number:02}" for number in range(7)]
        for name in names:
            await harness.runner.enqueue(harness.new("a@x.test", queue_id=name))
        states = {one.queue_id: one.state for one in await harness.entries()}
        assert [states[name] for name in names] == [State.ACTIVE] * 5 + [State.WAITING] * 2, "five in a new lane"
        await rests(harness)
        assert not hand_over(harness)._idle.is_clear(LaneFlow("mx:x.test"))
        assert hand_over(harness)._idle.is_clear(LaneFlow("mx:y.test"))
        await harness.runner.enqueue(harness.new("a@y.test", queue_id="00000000000099"))
        harness.delivery.gate.set()
        entries = await harness.until_settled()
        assert {one.state for one in entries} == {State.DELIVERED}
        assert claims.found == names[5:], "the trap of the empty claim: the end of an attempt made room"


@pytest.mark.parametrize("limit", ["MAX_ENTRIES", "MAX_CONTENT"])
async def test_the_limits_of_a_process_hold(tmp_path: Path, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as harness:
        claims = Claims(harness, monkeypatch)
        await rests(harness)
        harness.delivery.gate.clear()
        one = harness.new("a@x.test")
        monkeypatch.setattr(in_flight, "MAX_RESERVED", 0 if limit == "MAX_ENTRIES" else 2000)
        monkeypatch.setattr(in_flight, limit, 1 if limit == "MAX_ENTRIES" else len(one.content))
        await harness.runner.enqueue(one)
        await harness.runner.enqueue(harness.new("a@y.test", queue_id="0000000000000B"))
        harness.delivery.gate.set()
        assert {one.state for one in await harness.until_settled()} == {State.DELIVERED}
        assert claims.found == ["0000000000000B"], "the second did not fit beside the first"


async def test_a_message_that_is_not_stored_gives_its_places_back(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        await rests(harness)
        harness.flaky_store.failures["enqueue"] = 1
        with pytest.raises(StoreError):
            await harness.runner.enqueue(harness.new("a@x.test"))
        assert (hand_over(harness)._attempts.entries_left, harness.runner._lanes.lanes) == (4000, {})
        assert not harness.runner._flows.shares.held
        assert await harness.entries() == []
        await harness.runner.enqueue(harness.new("a@x.test"))
        assert [one.state for one in await harness.until_settled()] == [State.DELIVERED]


async def test_what_is_stored_after_the_lease_ended_is_not_attempted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node may attempt it."""
    async with running(tmp_path) as harness:
        await rests(harness)
        store = harness.flaky_store.enqueue

        async def without_lease(new: NewMessage) -> bool:
            await store(new)
            return False

        monkeypatch.setattr(harness.flaky_store, "enqueue", without_lease)
        await harness.runner.enqueue(harness.new("a@x.test"))
        assert (hand_over(harness)._attempts.entries_left, harness.runner._lanes.lanes) == (4000, {})
        assert not harness.runner._attempts._tasks
        assert [one.state for one in await harness.entries()] == [State.ACTIVE]


async def test_a_client_that_leaves_during_the_commit_loses_no_message(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        await rests(harness)
        accepting = asyncio.create_task(harness.runner.enqueue(harness.new("a@x.test")))
        await asyncio.sleep(0.001)
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)

        async def stored_and_sent() -> bool:
            return all(one.state is State.DELIVERED for one in await harness.entries())

        await harness.until(stored_and_sent)


async def test_an_operator_cannot_hold_what_is_in_flight(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.gate.clear()
        await rests(harness)
        await harness.runner.enqueue(harness.new("a@y.test"))
        changed = await harness.store.queue.change(EntryQuery(queue_id="0000000000000A"), hold)
        assert not changed.entries
        harness.delivery.gate.set()


async def test_the_end_of_any_attempt_calls_for_a_claim_while_a_party_holds_its_share(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        await rests(harness)
        hand_over(harness).attempt_ended("mx:x.test")
        assert not harness.runner._wake.is_set()
        harness.runner._flows.start(Flow("credential:flood"), 1999)
        harness.runner.wake()
        await rests(harness)
        hand_over(harness).attempt_ended("mx:x.test")
        assert harness.runner._wake.is_set()
        harness.runner._flows.finish(Flow("credential:flood"), 1999)

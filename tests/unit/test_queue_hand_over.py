"""New messages are attempted without a claim, and only where a claim would have taken them at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.content_file import LARGE
from relay.events.ports import StoreError
from relay.limits.priority import Flow, Priority
from relay.queue import in_flight
from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import LaneFlow, State
from relay.queue.hand_over import IdleState
from relay.queue.message import ClaimedBatch, NewMessage
from relay.queue.nodes import ALL_CONNECTIONS, NodeConnections, NodeShare
from relay.queue.operator_actions import hold
from relay.queue.pause import HOLD, Pause
from relay.queue.ports import EntryQuery
from relay.queue.site import Site
from tests.unit.queue_harness import BUSY, NOW, Harness, running

SITE = Site("mx.x.test", "192.0.2.1", 20)


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


def hand_over(harness: Harness) -> Any:
    return harness.runner._hand_over


async def rests(harness: Harness) -> None:
    """Wait until the runner has found nothing to claim."""

    async def resting() -> bool:
        return hand_over(harness)._idle is not None

    await harness.until(resting)


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


async def test_nothing_is_handed_over_while_a_claim_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as harness:
        gate, claiming = asyncio.Event(), asyncio.Event()
        claim = harness.store.queue.claim

        async def slow(now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
            claiming.set()
            await gate.wait()
            return await claim(now, room)

        await rests(harness)
        monkeypatch.setattr(harness.store.queue, "claim", slow)
        harness.runner.wake()
        await claiming.wait()
        await harness.runner.enqueue(harness.new("a@x.test"))
        assert [one.state for one in await harness.entries()] == [State.WAITING]
        gate.set()
        assert [one.state for one in await harness.until_settled()] == [State.DELIVERED]


async def test_entries_that_must_wait_are_left_to_a_claim(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        await rests(harness)
        new = harness.new("now@x.test", "later@x.test", "dropped@x.test")
        now, later, dropped = new.entries
        entries = (now, replace(later, next_attempt_at=NOW + 60), replace(dropped, state=State.DROPPED))
        harness.delivery.gate.clear()
        await harness.runner.enqueue(replace(new, entries=entries))
        states = [one.state for one in await harness.entries()]
        assert states == [State.ACTIVE, State.WAITING, State.DROPPED]
        harness.delivery.gate.set()


@pytest.mark.parametrize("limit", ["MAX_ENTRIES", "MAX_CONTENT"])
async def test_the_limits_of_a_process_hold(tmp_path: Path, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as harness:
        await rests(harness)
        harness.delivery.gate.clear()
        one = harness.new("a@x.test")
        monkeypatch.setattr(in_flight, "MAX_RESERVED", 0 if limit == "MAX_ENTRIES" else 2000)
        monkeypatch.setattr(in_flight, limit, 1 if limit == "MAX_ENTRIES" else len(one.content))
        await harness.runner.enqueue(one)
        await harness.runner.enqueue(harness.new("a@y.test", queue_id="0000000000000B"))
        states = {one.queue_id: one.state for one in await harness.entries()}
        assert states == {"0000000000000A": State.ACTIVE, "0000000000000B": State.WAITING}
        harness.delivery.gate.set()
        assert {one.state for one in await harness.until_settled()} == {State.DELIVERED}


async def test_lanes_of_other_nodes_and_an_invalid_lease_need_a_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as harness:
        await rests(harness)
        others = NodeConnections(NodeShare(rank=0, nodes=0))
        hand_over(harness).begin_idle(IdleState(NOW + 5, (), (), others))
        assert hand_over(harness).reserve(harness.new("a@x.test")) == []
        hand_over(harness).begin_idle(IdleState(NOW + 5, (), (), ALL_CONNECTIONS))
        monkeypatch.setattr(type(harness.store.queue), "can_lease", False)
        assert hand_over(harness).reserve(harness.new("a@x.test")) == ()


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


class TestLeftToClaims:
    """What a claim would not take at once, or what could not leave."""

    async def test_mail_of_a_paused_lane(self, tmp_path: Path) -> None:
        async with running(tmp_path) as harness:
            await rests(harness)
            harness.runner._lanes.failed("mx:x.test", BUSY, NOW, NOW + 600)
            assert hand_over(harness).reserve(harness.new("a@x.test")) == []

    @pytest.mark.parametrize("subject", ["domain:x.test", "provider:direct", "site:mx.x.test"])
    async def test_mail_that_an_operator_suspended(self, subject: str, tmp_path: Path) -> None:
        async with running(tmp_path) as harness:
            harness.context.rates.admit("mx:x.test", SITE, None, NOW)
            await harness.runner.shared_pauses.add(Pause(subject, NOW, 0.0, "maintenance", HOLD))
            await rests(harness)
            assert hand_over(harness).reserve(harness.new("a@x.test")) == []

    async def test_mail_to_a_site_with_a_rate(self, tmp_path: Path) -> None:
        async with running(tmp_path) as harness:
            harness.context.rates.admit("mx:x.test", SITE, None, NOW)
            await rests(harness)
            assert hand_over(harness).reserve(harness.new("a@x.test"))
            harness.context.rates.slowed("mx:x.test", NOW, NOW, "421 slow down")
            assert hand_over(harness).reserve(harness.new("a@x.test")) == []
            assert hand_over(harness).reserve(harness.new("a@y.test"))

    async def test_a_large_content_is_left_to_a_claim(self, tmp_path: Path) -> None:
        async with running(tmp_path) as harness:
            await rests(harness)
            assert not hand_over(harness).reserve(harness.new("a@x.test", content=bytes(LARGE + 1)))
            assert hand_over(harness).reserve(harness.new("a@x.test", content=bytes(LARGE)))

    async def test_mail_of_a_party_that_holds_its_share(self, tmp_path: Path) -> None:
        async with running(tmp_path) as harness:
            await rests(harness)
            flood = Flow("credential:flood", Priority.CAMPAIGN)
            harness.runner._flows.start(flood, 1999)
            assert hand_over(harness).reserve(harness.new("a@x.test", flow=flood)) == []
            assert hand_over(harness).reserve(harness.new("a@x.test", flow=Flow("credential:other")))

    async def test_mail_behind_a_message_of_its_lane_that_is_being_stored(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with running(tmp_path) as harness:
            gate = asyncio.Event()
            enqueue = harness.store.queue.enqueue

            async def slow(accepted: NewMessage) -> None:
                await gate.wait()
                await enqueue(accepted)

            monkeypatch.setattr(harness.store.queue, "enqueue", slow)
            await rests(harness)
            first = harness.new("a@x.test", content=bytes(LARGE + 1))
            storing = asyncio.create_task(harness.runner.enqueue(first))
            await asyncio.sleep(0)
            assert hand_over(harness).reserve(harness.new("a@x.test", queue_id="0000000000000B")) == ()
            gate.set()
            await storing
            await harness.until_settled()


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

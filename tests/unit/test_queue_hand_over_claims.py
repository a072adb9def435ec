"""Which new messages are left to a claim: what it would not take at once, or what could not leave."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from relay.content_file import LARGE
from relay.limits.priority import Flow, Priority
from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import State
from relay.queue.hand_over import IdleState
from relay.queue.message import ClaimedBatch, NewMessage
from relay.queue.nodes import ALL_CONNECTIONS, NodeConnections, NodeShare
from relay.queue.pause import HOLD, Pause
from relay.queue.site import Site
from tests.unit.queue_harness import BUSY, NOW, hand_over, rests, running

SITE = Site("mx.x.test", "192.0.2.1", 20)


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

"""Limits at dispatch, and lanes that are down, blocked, slow or full, over a real store."""

from collections.abc import Sequence
from pathlib import Path

from relay.limits.priority import Flow
from relay.mail.reply import Reply
from relay.queue.entry import State
from relay.queue.lanes import INITIAL_CONCURRENCY
from relay.queue.outcome import Outcome, Refused
from relay.queue.ports import DeliveryJob
from tests.unit.queue_harness import (
    DOWN,
    NO,
    NOW,
    OK,
    ScriptedDelivery,
    running,
    settings,
)


async def test_limits_are_checked_at_dispatch(tmp_path: Path) -> None:
    """Entries made due early, as by an operator's flush, are still sent within the limits."""
    limits = {"identities": {"app@acme.test": {"hourly_limit": 2}}}
    async with running(tmp_path, settings(**limits)) as harness:
        await harness.enqueue(*(f"u{number}@x.test" for number in range(5)))

        async def two_sent() -> bool:
            states = [one.state for one in await harness.entries()]
            return states.count(State.DELIVERED) == 2 and states.count(State.WAITING) == 3

        await harness.until(two_sent)
        waiting = [one for one in await harness.entries() if one.state is State.WAITING]
        assert all(one.release_at == one.next_attempt_at > NOW + 3599 for one in waiting)
        assert all(one.attempts == 0 for one in waiting)
        harness.now = max(one.release_at for one in waiting[:2])
        harness.runner.wake()

        async def four_left() -> bool:
            return [one.state for one in await harness.entries()].count(State.DELIVERED) == 4

        await harness.until(four_left)


async def test_notifications_have_no_limits(tmp_path: Path) -> None:
    limits = {"identities": {"app@acme.test": {"hourly_limit": 1}}}
    async with running(tmp_path, settings(**limits)) as harness:
        harness.delivery.answers = [NO]
        await harness.enqueue("a@x.test")

        async def notified() -> bool:
            return len(harness.delivery.jobs) == 2

        await harness.until(notified)


async def test_a_lane_that_is_down_answers_for_what_comes_after(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.answers = [DOWN]
        await harness.enqueue("a@x.test")
        await harness.until_settled()
        await harness.enqueue("b@x.test", queue_id="0000000000000B")
        entries = await harness.until_settled()
        assert [one.status for one in entries] == ["deferred", "deferred"]
        assert entries[1].last_reply == DOWN.reply
        assert len(harness.delivery.jobs) == 1


async def test_a_destination_that_blocks_us_pauses_its_lane_and_sends_an_alert(tmp_path: Path) -> None:
    blocked = Reply(554, "5.7.1", "Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org")
    async with running(tmp_path) as harness:
        harness.delivery.answers = [Refused(blocked, "mx.x.test[192.0.2.1]:25")]
        await harness.enqueue("a@x.test")
        await harness.until_settled()
        await harness.enqueue("b@x.test", queue_id="0000000000000B")
        entries = await harness.until_settled()
        assert len(harness.delivery.jobs) == 1
        assert entries[1].status == "deferred"
        assert "delivery is paused after: 554 5.7.1" in str(entries[1].last_reply)
        assert harness.raised == [("mx:x.test", "blocked")]


async def test_a_slow_lane_does_not_block_another(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.gate.clear()
        for number in range(30):
            await harness.enqueue("a@slow.test", queue_id=f"0000000000{number:04}")

        async def narrow() -> bool:
            return len(harness.delivery.jobs) == 5

        await harness.until(narrow)
        await harness.enqueue("b@fast.test", queue_id="0000000000000B")

        async def reached() -> bool:
            return harness.delivery.jobs[-1][0] == "mx:fast.test"

        await harness.until(reached)
        assert len(harness.delivery.jobs) == 6


async def test_a_party_whose_transactions_hang_keeps_no_other_out_of_a_lane(tmp_path: Path) -> None:
    class HangsForOne(ScriptedDelivery):
        async def deliver(self, lane: str, job: DeliveryJob) -> Sequence[Outcome]:
            if job.entries[0].principal == "identity:hangs@acme.test":
                self.jobs.append((lane, job, b""))
                await self.gate.wait()
            return [OK] * len(job.entries)

    async with running(tmp_path) as harness:
        delivery = harness.delivery.real = HangsForOne()
        delivery.gate.clear()
        for number in range(2 * INITIAL_CONCURRENCY):
            hangs = Flow("identity:hangs@acme.test")
            await harness.enqueue(f"u{number}@x.test", queue_id=f"H{number}", flow=hangs)

        async def lane_is_full() -> bool:
            return len(delivery.jobs) == INITIAL_CONCURRENCY

        await harness.until(lane_is_full)
        for number in range(3):
            await harness.enqueue(f"a{number}@x.test", queue_id=f"S{number}", flow=Flow("identity:a@acme.test"))

        async def others_left() -> bool:
            states = {entry.queue_id: entry.state for entry in await harness.entries()}
            return all(states[f"S{number}"] is State.DELIVERED for number in range(3))

        await harness.until(others_left)
        delivery.gate.set()

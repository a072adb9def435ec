"""The runner over a real store: transactions, retries, notifications, and its stop leave entries in the right state."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from relay.queue.entry import State
from relay.queue.ports import EntryQuery
from relay.reports.ports import MessageQuery
from relay.storage.sqlite.store import SqliteStore
from tests.unit.queue_harness import (
    BUSY,
    NO,
    NOW,
    TRACKING,
    running,
    settings,
)


async def test_recipients_of_one_lane_share_a_transaction(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        await harness.enqueue("a@x.test", "b@x.test", "c@y.test")
        entries = await harness.until_settled()
        assert {one.state for one in entries} == {State.DELIVERED}
        assert sorted((lane, [one.recipient for one in job.entries]) for lane, job, _ in harness.delivery.jobs) == [
            ("mx:x.test", ["a@x.test", "b@x.test"]),
            ("mx:y.test", ["c@y.test"]),
        ]
        assert await harness.store.queue.content("0000000000000A") is None


@pytest.mark.parametrize("policy", [{"tracking": TRACKING}, {"return_path": "bounces.acme.test"}])
async def test_a_recipient_with_its_own_bytes_gets_its_own_transaction(tmp_path: Path, policy: dict[str, Any]) -> None:
    async with running(tmp_path) as harness:
        await harness.enqueue("a@x.test", "b@x.test", **policy)
        await harness.until_settled()
        assert sorted(one.recipient for _, job, _ in harness.delivery.jobs for one in job.entries) == [
            "a@x.test",
            "b@x.test",
        ]
        assert len(harness.delivery.jobs) == 2
        if "tracking" in policy:
            first, second = (content for _, _, content in harness.delivery.jobs)
            assert first != second


async def test_a_deferred_entry_is_tried_again_when_it_is_due(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.answers = [BUSY]
        await harness.enqueue("a@x.test")
        await harness.until_settled()
        harness.now += 59.9
        harness.runner.wake()
        await asyncio.sleep(0.05)
        assert len(harness.delivery.jobs) == 1
        harness.now += 0.1
        harness.runner.wake()

        async def delivered() -> bool:
            return (await harness.entries())[0].state is State.DELIVERED

        await harness.until(delivered)
        assert (await harness.entries())[0].attempts == 2


async def test_a_refusal_sends_a_notification_by_the_same_queue(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.answers = [NO]
        await harness.enqueue("a@x.test")
        (entry,) = await harness.until_settled()
        assert entry.state is State.BOUNCED

        async def notified() -> bool:
            return len(harness.delivery.jobs) == 2

        await harness.until(notified)
        lane, job, content = harness.delivery.jobs[1]
        assert (lane, job.message.reverse_path, job.entries[0].recipient) == ("mx:acme.test", "", "app@acme.test")
        assert b"Final-Recipient: rfc822; a@x.test" in content


@pytest.mark.parametrize(
    ("proof", "policy", "notifications", "asked"),
    [
        (True, {"unproven_sender": True}, 1, 1),
        (False, {"unproven_sender": True}, 0, 1),
        (RuntimeError("no resolver"), {"unproven_sender": True}, 0, 1),
        (True, {"unproven_sender": True, "forward_domain": "acme.test"}, 0, 0),
        (False, {}, 1, 0),
    ],
)
async def test_an_unproven_sender_is_notified_if_it_is_proven_when_the_notification_is_due(
    tmp_path: Path, proof: bool | Exception, policy: dict[str, Any], notifications: int, asked: int
) -> None:
    async with running(tmp_path) as harness:
        harness.proof = proof
        harness.delivery.answers = [NO]
        await harness.enqueue("a@x.test", **policy)
        (entry,) = await harness.until_settled()
        assert entry.state is State.BOUNCED
        every = await harness.store.queue.entries(EntryQuery())
        assert [one.recipient for _, one in every if one != entry] == ["app@acme.test"] * notifications
        assert len(harness.asked_to_prove) == asked


async def test_an_unproven_sender_of_a_delayed_message_is_asked_about_once(tmp_path: Path) -> None:
    async with running(tmp_path, settings(queue={"delay_notice": "1m", "retry": ["1m"]})) as harness:
        harness.delivery.answers = [BUSY] * 3
        await harness.enqueue("a@x.test", unproven_sender=True)
        for attempts in (1, 2, 3):

            async def tried(attempts: int = attempts) -> bool:
                (entry,) = await harness.entries()
                return entry.state is State.WAITING and entry.attempts == attempts

            await harness.until(tried)
            harness.now += 100
            harness.runner.wake()
        assert harness.asked_to_prove == ["app@acme.test"]


async def test_stopping_waits_for_the_attempt_in_flight_and_claims_no_more(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.gate.clear()
        await harness.enqueue("a@x.test")

        async def under_way() -> bool:
            return bool(harness.delivery.jobs)

        await harness.until(under_way)
        stopping = asyncio.create_task(harness.runner.stop(10))
        await asyncio.sleep(0.02)
        await harness.enqueue("b@y.test", queue_id="0000000000000B")
        assert not stopping.done()
        harness.delivery.gate.set()
        await stopping
        assert {one.recipient: one.state for one in await harness.entries()} == {
            "a@x.test": State.DELIVERED,
            "b@y.test": State.WAITING,
        }


async def test_an_attempt_that_does_not_end_in_time_is_left_to_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.gate.clear()
        await harness.enqueue("a@x.test")

        async def under_way() -> bool:
            return bool(harness.delivery.jobs)

        await harness.until(under_way)
        await harness.runner.stop(0.01)
        assert [one.state for one in await harness.entries()] == [State.ACTIVE]
    again = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    try:
        assert await again.queue.recover(NOW, 100.0) == 1
        (found,) = await again.queue.entries(EntryQuery())
        assert (found[1].state, found[1].attempts) == (State.WAITING, 0)
        assert (await again.reports.stories(MessageQuery(recipient="a@x.test")))[0].message.queue_id == "0000000000000A"
    finally:
        await again.close()

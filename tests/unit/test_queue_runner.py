"""The runner over a real store: whatever happens to an attempt, its entries end in the right state."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.events.event import Kind
from relay.events.ports import RejectedError
from relay.limits.ports import Slot
from relay.limits.priority import Flow
from relay.mail.reply import Reply
from relay.queue import context as context_module
from relay.queue import settler as settler_module
from relay.queue.context import INTERNAL_ERROR
from relay.queue.entry import State
from relay.queue.lanes import INITIAL_CONCURRENCY, LaneTable
from relay.queue.message import Settlement
from relay.queue.outcome import Outcome, Refused
from relay.queue.ports import DeliveryJob, EntryQuery
from relay.queue.site import Site
from relay.render.render import Rendering, RenderInput
from relay.reports.ports import MessageQuery
from relay.storage.integrity import CHANGED
from relay.storage.sqlite.store import SqliteStore
from tests.unit.queue_harness import (
    BUSY,
    DOWN,
    NO,
    NOW,
    OK,
    TRACKING,
    ScriptedDelivery,
    running,
    settings,
)


class BrokenRenderer:
    """A renderer that raises an unexpected exception."""

    async def render(self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        raise RuntimeError("the renderer is gone")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_module, "STORE_RETRY", 0.01)


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


async def test_what_a_delivery_raises_defers_the_message(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.answers = [ZeroDivisionError("oops")]
        await harness.enqueue("a@x.test")
        (entry,) = await harness.until_settled()
        assert (entry.state, entry.attempts) == (State.WAITING, 1)
        assert entry.next_attempt_at == NOW + 60
        assert entry.last_reply is not None
        assert entry.last_reply.code == 451
        assert harness.raised == [("0000000000000A", "ZeroDivisionError('oops')")]
        assert [one.kind for one in harness.events] == [Kind.PROCESSED, Kind.DEFERRED]


async def test_what_was_accepted_before_lane_feedback_raises_is_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def half(lane: str, job: DeliveryJob) -> Sequence[Outcome]:
        return [OK, NO]

    def broken(lanes: LaneTable, lane: str) -> None:
        raise RuntimeError("no such lane")

    async with running(tmp_path) as harness:
        monkeypatch.setattr(harness.delivery, "deliver", half)
        monkeypatch.setattr(LaneTable, "accepted", broken)
        await harness.enqueue("a@x.test", "b@x.test")
        first, second = await harness.until_settled()
        assert (first.state, first.last_reply) == (State.DELIVERED, OK.reply)
        assert (second.state, second.last_reply, second.attempts) == (State.WAITING, INTERNAL_ERROR.reply, 1)
        assert harness.raised == [("0000000000000A", "RuntimeError('no such lane')")]


async def test_an_alert_that_raises_leaves_no_entry_active(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*fields: str) -> None:
        raise RuntimeError("nobody to tell")

    async with running(tmp_path) as harness:
        monkeypatch.setattr(harness, "alert", broken)
        harness.delivery.answers = [Refused(Reply(554, "5.7.1", "Client host blocked using zen.spamhaus.org"), "mx")]
        await harness.enqueue("a@x.test")
        (entry,) = await harness.until_settled()
        assert (entry.state, entry.last_reply) == (State.WAITING, INTERNAL_ERROR.reply)
        assert harness.raised == [("0000000000000A", "RuntimeError('nobody to tell')")]


@pytest.mark.parametrize(("outcome", "state"), [(OK, State.DELIVERED), (NO, State.WAITING)])
async def test_a_settlement_that_raises_leaves_no_entry_active(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, state: State
) -> None:
    """Accepted entries are delivered. A refusal is met again at the next attempt, and notified then."""

    def broken(*of: object) -> Settlement:
        raise ZeroDivisionError("nobody knows what it means")

    async with running(tmp_path) as harness:
        monkeypatch.setattr(settler_module, "settle", broken)
        harness.delivery.answers = [outcome]
        await harness.enqueue("a@x.test")
        (entry,) = await harness.until_settled()
        assert (entry.state, entry.attempts, entry.last_reply) == (state, 1, outcome.reply)
        assert state is State.DELIVERED or entry.next_attempt_at == NOW + 60
        assert harness.raised == [("0000000000000A", "ZeroDivisionError('nobody knows what it means')")]
        ending = Kind.DELIVERED if state is State.DELIVERED else Kind.DEFERRED
        assert [one.kind for one in harness.events] == [Kind.PROCESSED, ending]


async def test_a_dispatch_that_raises_leaves_no_entry_active(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(slot: Slot, now: float) -> float:
        raise KeyError("no such ledger")

    limits = {"identities": {"app@acme.test": {"hourly_limit": 2}}}
    async with running(tmp_path, settings(**limits)) as harness:
        monkeypatch.setattr(harness.flaky_store, "acquire", broken)
        await harness.enqueue("a@x.test", "b@x.test")
        entries = await harness.until_settled()
        assert {(one.state, one.last_reply) for one in entries} == {(State.WAITING, INTERNAL_ERROR.reply)}
        assert harness.raised == [("0000000000000A", "KeyError('no such ledger')")]
        assert not harness.delivery.jobs


async def test_an_error_while_slots_are_released_leaves_no_entry_active(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(queue_id: str, numbers: Sequence[int]) -> None:
        raise KeyError("no such ledger")

    limits = {"identities": {"app@acme.test": {"hourly_limit": 2}}}
    async with running(tmp_path, settings(**limits)) as harness:
        monkeypatch.setattr(harness.flaky_store, "release", broken)
        harness.delivery.answers = [BUSY]
        await harness.enqueue("a@x.test")
        (entry,) = await harness.until_settled()
        assert (entry.state, entry.last_reply, entry.next_attempt_at) == (State.WAITING, BUSY.reply, NOW + 60)
        assert harness.raised == [("0000000000000A", "KeyError('no such ledger')")]


async def test_a_renderer_that_is_gone_defers_the_message(tmp_path: Path) -> None:
    async with running(tmp_path, renderer=BrokenRenderer()) as harness:
        await harness.enqueue("a@x.test")
        (entry,) = await harness.until_settled()
        assert entry.status == "deferred"
        assert harness.raised == [("0000000000000A", "RuntimeError('the renderer is gone')")]


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


@pytest.mark.parametrize("method", ["claim", "next_due", "apply", "acquire"])
async def test_a_failing_store_keeps_entries_in_flight_and_is_retried(tmp_path: Path, method: str) -> None:
    limits = {"identities": {"app@acme.test": {"hourly_limit": 10}}}
    async with running(tmp_path, settings(**limits)) as harness:
        harness.flaky_store.failures = {method: 3}
        await harness.enqueue("a@x.test")
        (entry,) = await harness.until_settled()
        assert entry.state is State.DELIVERED
        assert len(harness.delivery.jobs) == 1

        async def all_reported() -> bool:
            return len(harness.store_errors) == 3

        await harness.until(all_reported)
        assert harness.store_errors == [f"{method}: disk I/O error"] * 3


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


async def test_a_damaged_message_is_held_and_the_rest_is_sent(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.answers = [DOWN]
        await harness.enqueue("a@x.test", "b@y.test", tracking=TRACKING, queue_id="0000000000000A")
        await harness.until_settled()
        await harness.store.database.write(lambda raw: raw.execute("UPDATE contents SET content = x'00'"))
        await harness.enqueue("c@x.test", queue_id="0000000000000B")
        harness.now += 86400

        async def done() -> bool:
            harness.runner.wake()
            entries = await harness.entries()
            return not harness.is_publishing and all(one.state in (State.HELD, State.DELIVERED) for one in entries)

        await harness.until(done)
        states = {one.recipient: (one.state, one.reason) for one in await harness.entries()}
        assert states["c@x.test"] == (State.DELIVERED, "")
        held = [address for address, found in states.items() if found == (State.HELD, CHANGED)]
        assert [(event.address, event.data["reason"]) for event in harness.events if event.kind is Kind.HELD] == [
            (address, CHANGED) for address in held
        ]
        assert len(held) == 1, "one of both was deferred"
        assert len(harness.delivery.jobs) == 3
        assert not harness.raised


class PickyStore:
    """A store that does not take some settlements: each fails for a reason of its own."""

    def __init__(self, store: Any, refused: Callable[[Settlement], bool]) -> None:
        self.store = store
        self.refused = refused
        self.given: list[Settlement] = []

    async def apply(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        self.given += settlements
        if any(map(self.refused, settlements)):
            raise RejectedError("invalid byte sequence")
        written: Sequence[Settlement] = await self.store.apply(settlements)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


@pytest.mark.parametrize(
    ("refused", "notified"),
    [
        (lambda one: bool(one.entries[0].last_reply), True),
        (lambda one: bool(one.dsns), False),
    ],
)
async def test_a_settlement_that_cannot_be_stored_is_made_plainly_and_reported(
    tmp_path: Path, refused: Callable[[Settlement], bool], notified: bool
) -> None:
    async with running(tmp_path) as harness:
        picky = PickyStore(harness.flaky_store, refused)
        harness.runner._attempt._settler._context = replace(harness.context, store=picky)
        harness.delivery.answers = [NO]
        await harness.enqueue("a@x.test")
        (entry,) = await harness.until_settled()
        assert (entry.state, entry.last_reply) == (State.BOUNCED, None)
        # The notification may be attempted already, and fare the same.
        assert harness.plain[0] == ("0000000000000A", 1)
        assert all("invalid byte sequence" in error for _, error in harness.raised)
        (bounced,) = [one for one in harness.events if one.kind is Kind.BOUNCED and one.queue_id == entry.queue_id]
        assert bounced.data == {"plain": True}
        created = [one for one in harness.events if one.kind is Kind.CREATED]
        assert bool(created) is notified


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


async def test_entries_whose_lease_ended_are_not_sent_and_wait_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SendsWhatIsHeld(ScriptedDelivery):
        async def deliver(self, lane: str, job: DeliveryJob) -> Sequence[Outcome]:
            if not (job.is_held() and job.admit(Site("x.test"))):
                return ()
            self.jobs.append((lane, job, b""))
            return [OK] * len(job.entries)

    async with running(tmp_path) as harness:
        delivery = harness.delivery.real = SendsWhatIsHeld()
        leased = iter([False, False, True, True])
        monkeypatch.setattr(type(harness.flaky_store), "holds", lambda _, __: next(leased, True))
        await harness.enqueue("a@x.test")

        async def delivered() -> bool:
            return [one.state for one in await harness.entries()] == [State.DELIVERED]

        await harness.until(delivered)
        assert len(delivery.jobs) == 1
        assert [one.attempts for one in await harness.entries()] == [1], "the first turn was no attempt"

"""The runner over a real store: whatever raises or fails during an attempt, no entry stays active."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.events.event import Kind
from relay.events.ports import RejectedError
from relay.limits.ports import Slot
from relay.mail.reply import Reply
from relay.queue import context as context_module
from relay.queue import settler as settler_module
from relay.queue.context import INTERNAL_ERROR
from relay.queue.entry import State
from relay.queue.lanes import LaneTable
from relay.queue.message import Settlement
from relay.queue.outcome import Outcome, Refused
from relay.queue.ports import DeliveryJob
from relay.queue.site import Site
from relay.render.message import Rendering, RenderInput
from relay.storage.integrity import CHANGED
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
        monkeypatch.setattr(settler_module, "is_plain_delivery", lambda *_: False)
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

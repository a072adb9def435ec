"""Refusals at the acceptance, over a real store: limits, faults and pauses; what is refused leaves no trace."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import BinaryIO, cast

import pytest

from relay.events.ports import StoreError
from relay.limits.ports import LimitStore, Slot
from relay.limits.priority import Flow
from relay.limits.window import HOUR
from relay.mail.transaction import Envelope, Recipient, Transaction
from relay.queue.claim_limits import NO_HOLDERS, ClaimLimits, Holders
from relay.queue.message import ClaimedBatch, NewMessage, Settlement
from relay.queue.nodes import ALL_CONNECTIONS, NodeConnections
from relay.queue.pause import Pause, identity_subject
from relay.storage.sqlite.store import SqliteStore
from tests.unit.submission_harness import CONTENT, LIMITED, NOW, SESSION, Harness, store

__all__ = ["store"]


class FaultyStore:
    """A queue whose disk fails."""

    def __init__(self, error: StoreError) -> None:
        self.error = error

    async def enqueue(self, accepted: NewMessage) -> None:
        raise self.error

    async def recover(self, now: float, longest_wait: float) -> int:
        raise self.error

    async def shift_clock(self, now: float, step: float, longest_wait: float, lifetime: float) -> None:
        raise self.error

    async def leased_by_previous_run(self, keys: Sequence[tuple[str, int]]) -> Sequence[ClaimedBatch]:
        raise self.error

    async def claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        raise self.error

    async def copy_content(self, queue_id: str, file: BinaryIO) -> str:
        raise self.error

    async def next_due(
        self,
        busy: Collection[str],
        flows: Collection[Flow] = (),
        connections: NodeConnections = ALL_CONNECTIONS,
        holders: Holders = NO_HOLDERS,
    ) -> float | None:
        raise self.error

    async def apply(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        raise self.error


class FailingLimits:
    """Limits that can be asked once."""

    def __init__(self, limits: LimitStore) -> None:
        self.limits = limits
        self.asked = 0

    async def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> Sequence[float]:
        self.asked += 1
        if self.asked > 1:
            raise StoreError("the connection broke")
        return await self.limits.reserve(slots, at)

    async def release(self, queue_id: str, numbers: Sequence[int]) -> None:
        await self.limits.release(queue_id, numbers)


class TestLimits:
    async def test_the_surplus_gets_release_times(self, store: SqliteStore) -> None:
        harness = Harness(store, **LIMITED)
        for number in range(5):
            assert (await harness.take(f"u{number}@x.test")).code == 250
        entries = [entry for _, entry in await harness.stored()]
        waits = [entry.release_at and round((entry.release_at - NOW) / HOUR, 3) for entry in entries]
        assert waits == [0, 0, 1.0, 24.0, 24.0]
        assert all(one.next_attempt_at == one.release_at for one in entries[2:])
        assert all(one.expires_at == one.release_at + 72 * HOUR for one in entries[2:])
        assert [event.data.get("release_at", 0.0) for event in harness.events] == [one.release_at for one in entries]

    async def test_every_recipient_counts(self, store: SqliteStore) -> None:
        harness = Harness(store, **LIMITED)
        await harness.take("a@x.test", "b@x.test", "c@x.test")
        assert [bool(entry.release_at) for _, entry in await harness.stored()] == [False, False, True]

    async def test_what_could_not_leave_in_time_is_refused_and_takes_no_place(self, store: SqliteStore) -> None:
        harness = Harness(store, **LIMITED, queue={"lifetime": "2h", "delay_notice": "1h"})
        assert (await harness.take("a@x.test", "b@x.test")).code == 250
        refused = await harness.take("c@x.test", "d@x.test")
        assert str(refused) == (
            "451 4.7.1 Sending limit of app@acme.test is used up for longer than the queue keeps mail (24 h): "
            "try again later"
        )
        assert len(await harness.stored()) == 2
        taken = await harness.take("e@x.test")
        assert taken.code == 250
        assert (await harness.stored())[-1][1].release_at == pytest.approx(NOW + HOUR, abs=1)

    async def test_send_at_is_a_release_time_and_moves_the_expiry(self, store: SqliteStore) -> None:
        harness = Harness(store)
        await harness.take(content=b"X-Relay-Send-At: 2027-02-01T00:00:00Z\r\n" + CONTENT)
        ((_, entry),) = await harness.stored()
        assert entry.release_at == entry.next_attempt_at == 1801440000.0
        assert entry.expires_at == 1801440000.0 + 72 * HOUR

    async def test_send_at_within_limits(self, store: SqliteStore) -> None:
        harness = Harness(store, **LIMITED)
        later = b"X-Relay-Send-At: 2027-02-01T00:00:00Z\r\n" + CONTENT
        await harness.take("a@x.test", "b@x.test", "c@x.test", content=later)
        assert (await harness.take("d@x.test")).code == 250
        entries = [entry for _, entry in await harness.stored()]
        assert [round((one.release_at - 1801440000.0) / HOUR, 3) for one in entries[:3]] == [0, 0, 1.0]
        assert entries[3].release_at == 0.0

    async def test_two_providers_count_apart(self, store: SqliteStore) -> None:
        harness = Harness(store, provider=[{"name": name, "host": "h.test", "hourly_limit": 1} for name in ("a", "b")])
        for name in "aab":
            await harness.take(content=f"X-Relay-Provider: {name}\r\n".encode() + CONTENT)
        found = [(entry.lane, bool(entry.release_at)) for _, entry in await harness.stored()]
        assert found == [("provider:a", False), ("provider:a", True), ("provider:b", False)]


class TestRefusals:
    async def test_a_message_that_cannot_be_stored_keeps_no_place(self, store: SqliteStore) -> None:
        harness = Harness(store, **LIMITED)
        handler = replace(harness.handler, enqueue=FaultyStore(StoreError("disk I/O error")).enqueue)
        envelope = Envelope("app@acme.test", (Recipient("u@rcpt.test"), Recipient("v@rcpt.test")))
        with pytest.raises(StoreError):
            await handler.accept_message(Transaction(SESSION, envelope, CONTENT))
        await harness.take("a@x.test", "b@x.test")
        assert [entry.release_at for _, entry in await harness.stored()] == [0.0, 0.0]

    async def test_limits_that_fail_on_the_way_keep_no_place(self, store: SqliteStore) -> None:
        """The first provider has no room for the second recipient; asking the next one fails."""
        providers = [{"name": name, "host": "h.test", "hourly_limit": 1} for name in ("a", "b")]
        domains = {"acme.test": {"provider": "a", "fallback_providers": ["b"]}}
        harness = Harness(store, provider=providers, domains=domains)
        handler = replace(harness.handler, limits=cast("LimitStore", FailingLimits(store.limits)))
        envelope = Envelope("app@acme.test", (Recipient("u@rcpt.test"), Recipient("v@rcpt.test")))
        with pytest.raises(StoreError):
            await handler.accept_message(Transaction(SESSION, envelope, CONTENT))
        await harness.take("a@x.test", "b@x.test")
        found = [(entry.lane, entry.release_at) for _, entry in await harness.stored()]
        assert found == [("provider:a", 0.0), ("provider:b", 0.0)]

    async def test_instructions_that_mean_nothing(self, store: SqliteStore) -> None:
        harness = Harness(store)
        reply = await harness.take(content=b"X-Relay-Track: maybe\r\n" + CONTENT)
        assert str(reply).startswith('554 5.6.0 X-Relay-Track: "maybe"')
        assert await harness.stored() == []

    async def test_mail_that_the_policy_refuses_is_not_stored(self, store: SqliteStore) -> None:
        harness = Harness(store, limits={"require_identity": True})
        assert (await harness.take()).code == 550
        assert await harness.stored() == []

    async def test_who_may_not_send_learns_it_before_the_message(self, store: SqliteStore) -> None:
        harness = Harness(store)
        handler = harness.handler
        refused = handler.check_mail(SESSION, Envelope("app@acme.test"))
        assert refused is not None
        assert refused.code == 550
        assert handler.check_mail(replace(SESSION, client="127.0.0.1"), Envelope("app@acme.test")) is None
        assert handler.check_recipient(SESSION, Envelope("app@acme.test"), Recipient("u@x.test")) is None


async def test_mail_of_a_paused_identity_is_refused_for_now(store: SqliteStore) -> None:
    side = Harness(store, identities={"app@acme.test": {}, "boss@acme.test": {}})
    why = "24 of 200 recipients bounced within 24 hours (12 %, the limit is 10 %)"
    side.pauses["boss@acme.test"] = Pause(identity_subject("boss@acme.test"), NOW, 0.0, why, "bounces")
    assert (await side.take()).code == 250
    for header in (
        "From: boss@acme.test",
        "From: app@acme.test, Boss@ACME.test",
        "From: app@acme.test\r\nSender: boss@acme.test",
    ):
        content = f"{header}\r\nSubject: x\r\n\r\nx\r\n".encode()
        reply = await side.take(content=content)
        assert str(reply) == (
            f"451 4.7.1 <boss@acme.test> is paused: {why}; an operator must resume it: "
            "relay identity resume boss@acme.test"
        )
    assert (await side.take(reverse_path="", content=b"From: boss@acme.test\r\n\r\nx\r\n")).code == 451
    side.pauses.clear()
    assert (await side.take(content=b"From: boss@acme.test\r\n\r\nx\r\n")).code == 250

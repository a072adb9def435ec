"""Recipients that are left out or wait, and unproven senders, over a real store."""

from dataclasses import replace
from itertools import count

from relay.events.event import Kind
from relay.queue.entry import State
from relay.storage.sqlite.store import SqliteStore
from relay.suppression.model import Suppression
from relay.suppression.unsubscribes import Unsubscribe
from tests.unit.submission_harness import CONTENT, LIMITED, NOW, Harness, store

__all__ = ["store"]


async def test_campaign_mail_needs_a_verified_address_and_other_mail_does_not(store: SqliteStore) -> None:
    harness = Harness(store)
    assert (await harness.take()).code == 250
    refused = await harness.take(content=b"X-Relay-Campaign: autumn\r\n" + CONTENT)
    assert str(refused) == (
        "550 5.7.1 <app@acme.test> is not verified for campaign mail: relay identity verify app@acme.test"
    )
    harness.proven.add("app@acme.test")
    assert (await harness.take(content=b"X-Relay-Campaign: autumn\r\n" + CONTENT)).code == 250
    assert len(await harness.stored()) == 2


async def test_who_unsubscribed_is_dropped_from_campaign_mail_only(store: SqliteStore) -> None:
    unsubscribed = Unsubscribe("u@x.test", "acme.test", "spring", "page", "Q1", NOW)
    await store.unsubscribes.add([unsubscribed])
    harness = Harness(store, verification={"campaign": False}, domains={"acme.test": {"exclusion": "campaign"}})
    for said in (b"X-Relay-Campaign: spring\r\n", b"X-Relay-Campaign: autumn\r\n", b""):
        assert (await harness.take("U@x.test", "v@x.test", content=said + CONTENT)).code == 250
    dropped = [(one.queue_id, one.address, one.data["reason"]) for one in harness.events if one.kind is Kind.DROPPED]
    assert dropped == [("Q0000000000001", "U@x.test", 'unsubscribed from campaign "spring" of acme.test (page)')]
    for start, (left, reach) in enumerate([("acme.test", "domain"), ("other.test", "global")], 1):
        harness = Harness(store, verification={"campaign": False}, domains={left: {"exclusion": reach}})
        harness.serial = count(10 * start)
        await store.unsubscribes.add([replace(unsubscribed, domain=left)])
        for said in (b"X-Relay-Campaign: autumn\r\n", b""):
            assert (await harness.take("U@x.test", content=said + CONTENT)).code == 250
        assert [one.queue_id for one in harness.events if one.kind is Kind.DROPPED] == [f"Q00000000000{start}0"]


async def test_a_suppressed_recipient_is_dropped_and_takes_no_place(store: SqliteStore) -> None:
    harness = Harness(store, **LIMITED)
    await store.suppressions.add(
        [Suppression("gone@x.test", "", "invalid_recipient", "", "550 no such user", "Q1", NOW)]
    )
    assert (await harness.take("Gone@x.test", "a@x.test", "b@x.test")).code == 250
    states = {entry.recipient: (entry.state, bool(entry.release_at)) for _, entry in await harness.stored()}
    assert states == {
        "Gone@x.test": (State.DROPPED, False),
        "a@x.test": (State.WAITING, False),
        "b@x.test": (State.WAITING, False),
    }
    assert {one.address for one in harness.events if one.kind is Kind.DROPPED} == {"Gone@x.test"}


async def test_a_recipient_that_another_message_tests_waits_and_its_copy_is_dropped(store: SqliteStore) -> None:
    harness = Harness(store, domains={"acme.test": {"bcc": ["archive@x.test"]}})
    await store.suppressions.add(
        [Suppression(name, reason="mailbox_full", expires_at=NOW - 1) for name in ("u@x.test", "archive@x.test")]
    )
    for _ in range(2):
        assert (await harness.take("U@x.test", "a@x.test")).code == 250
    stored = [(entry.recipient, entry.state, entry.next_attempt_at - NOW) for _, entry in await harness.stored()]
    assert stored == [
        ("U@x.test", State.WAITING, 0),
        ("a@x.test", State.WAITING, 0),
        ("archive@x.test", State.WAITING, 0),
        ("U@x.test", State.WAITING, 60),
        ("a@x.test", State.WAITING, 0),
        ("archive@x.test", State.DROPPED, 0),
    ]
    waits = "the suppression of the address ended: waits for the result of Q0000000000001"
    reasons = {entry.recipient: entry.reason for _, entry in (await harness.stored())[3:]}
    assert reasons == {
        "U@x.test": waits,
        "a@x.test": "",
        "archive@x.test": "suppressed: Q0000000000001 tests the address",
    }


async def test_a_reverse_path_of_somebody_else_is_unproven_when_it_is_accepted(store: SqliteStore) -> None:
    harness = Harness(store, domains={"acme.test": {"return_path": "bounces.acme-mail.test"}})
    own = ("app@acme.test", "app@sub.acme.test", "bounce@acme-mail.test", "")
    for path in (*own, "victim@bank.test"):
        await harness.take(reverse_path=path)
    unproven = [message.reverse_path for message, _ in await harness.stored() if message.policy.unproven_sender]
    assert unproven == ["victim@bank.test"]

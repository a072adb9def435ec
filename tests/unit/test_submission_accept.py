"""Accepting into a real store: what is stored, what is added, and what is refused and leaves no trace."""

import re
import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from relay.config.secret_hash import hash_secret
from relay.config.settings import Settings
from relay.events.event import Event, Kind
from relay.events.ports import StoreError
from relay.limits.ports import LimitStore, Slot
from relay.limits.priority import Flow
from relay.limits.window import HOUR
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.policy.message_facts import MessageFacts, parse_facts
from relay.queue.claim_limits import NO_HOLDERS, ClaimLimits, Holders
from relay.queue.entry import Entry, State
from relay.queue.message import ClaimedBatch, Message, NewMessage, Settlement
from relay.queue.nodes import ALL_CONNECTIONS, NodeConnections
from relay.queue.pause import Pause, identity_subject
from relay.queue.ports import EntryQuery
from relay.storage.sqlite.store import SqliteStore
from relay.submission import accept
from relay.submission.accept import SubmissionHandler
from relay.suppression.exclusion import Exclusion
from relay.suppression.model import Suppression
from relay.suppression.unsubscribes import Unsubscribe

NOW = 1_800_000_000.0

SESSION = Session("submission", "submission", "192.0.2.7", "app.test", extended=True)

CONTENT = b"From: App <app@acme.test>\r\nSubject: hello\r\n\r\nHello \xff\r\n"

LIMITED = {"identities": {"app@acme.test": {"hourly_limit": 2, "daily_limit": 3}}}

EVERY = (State.WAITING, State.HELD, State.ACTIVE, State.DELIVERED, State.BOUNCED, State.DROPPED)


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


class Harness:
    """A submission handler with its dependencies."""

    def __init__(self, store: SqliteStore, **sections: Any) -> None:
        self.store = store
        self.now = NOW
        self.events: list[Event] = []
        self.wakes = 0
        self.proven: set[str] = set()
        self.pauses: dict[str, Pause] = {}
        self.serial = count(1)
        self.settings = Settings.model_validate({"server": {"hostname": "relay.test"}, **sections})
        self.handler = SubmissionHandler(
            settings=lambda: self.settings,
            enqueue=self.enqueue,
            limits=store.limits,
            exclusion=Exclusion(store.suppressions, store.unsubscribes),
            clock=lambda: self.now,
            new_id=lambda now: f"Q{next(self.serial):013}",
            publish=self.events.extend,
            is_proven=lambda address: address in self.proven,
            identity_pause=self.pauses.get,
        )

    async def enqueue(self, accepted: NewMessage) -> None:
        await self.store.queue.enqueue(accepted)
        self.wakes += 1

    async def take(
        self, *recipients: str, content: bytes = CONTENT, session: Session = SESSION, **envelope: Any
    ) -> Reply:
        to = tuple(Recipient(one) for one in recipients or ("u@rcpt.test",))
        return await self.handler.accept_message(
            Transaction(session, Envelope(**{"reverse_path": "app@acme.test", "recipients": to, **envelope}), content)
        )

    async def stored(self) -> list[tuple[Message, Entry]]:
        return list(await self.store.queue.entries(EntryQuery(states=EVERY)))

    async def added(self, **take: Any) -> str:
        """Return the fields put in front of the message that is taken."""
        assert (await self.take(**take)).code == 250
        return (await self.stored())[-1][0].policy.added_fields.decode()


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    opened = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    yield opened
    await opened.close()


async def test_what_is_answered_with_250_is_stored_as_it_came(store: SqliteStore) -> None:
    harness = Harness(store)
    reply = await harness.take("a@x.test", "B@Y.test")
    assert str(reply) == "250 2.0.0 Ok: queued as Q0000000000001"
    (message, first), (_, second) = await harness.stored()
    assert await store.queue.content("Q0000000000001") == CONTENT
    assert (message.reverse_path, message.header_from, message.subject) == ("app@acme.test", "app@acme.test", "hello")
    assert (message.size, message.client, message.policy.domain) == (len(CONTENT), "192.0.2.7", "acme.test")
    assert (first.recipient, first.lane, first.state) == ("a@x.test", "mx:x.test", State.WAITING)
    assert (second.recipient, second.lane, second.number) == ("B@Y.test", "mx:y.test", 1)
    assert (first.next_attempt_at, first.expires_at, first.release_at) == (NOW, NOW + 72 * HOUR, 0.0)
    assert [(one.kind, one.address, one.data["lane"]) for one in harness.events] == [
        (Kind.CREATED, "a@x.test", "mx:x.test"),
        (Kind.CREATED, "B@Y.test", "mx:y.test"),
    ]
    assert harness.wakes == 1


class TestAddedFields:
    async def test_received_date_and_message_id(self, store: SqliteStore) -> None:
        assert await Harness(store).added() == (
            "Received: from app.test ([192.0.2.7])\r\n"
            "\tby relay.test (relay) with ESMTP id Q0000000000001\r\n"
            "\tfor <u@rcpt.test>;\r\n"
            "\tFri, 15 Jan 2027 08:00:00 +0000\r\n"
            "Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n"
            "Message-ID: <Q0000000000001@acme.test>\r\n"
        )

    async def test_date_and_message_id_stay_where_there_are_any(self, store: SqliteStore) -> None:
        harness = Harness(store)
        content = b"DATE: yesterday\r\nmessage-id: <1@x>\r\n" + CONTENT
        added = await harness.added(content=content)
        assert re.findall(r"^([\w-]+):", added, re.MULTILINE) == ["Received"]
        assert (await harness.stored())[0][0].message_id == "<1@x>"

    async def test_several_recipients_do_not_learn_of_each_other(self, store: SqliteStore) -> None:
        harness = Harness(store)
        await harness.take("a@x.test", "b@y.test")
        assert b" for " not in (await harness.stored())[0][0].policy.added_fields.replace(b"\r\n\t", b" ")

    @pytest.mark.parametrize(
        ("changes", "envelope", "words"),
        [
            ({"extended": False}, {}, "with SMTP id"),
            ({"tls": "TLSv1.3 X"}, {}, "with ESMTPS id"),
            ({"credential": "app1"}, {}, "with ESMTPA id"),
            ({"tls": "TLSv1.3 X", "credential": "app1"}, {}, "with ESMTPSA id"),
            ({"tls": "TLSv1.3 X", "credential": "app1"}, {"smtputf8": True}, "with UTF8SMTPSA id"),
            ({"client": "2001:db8::1"}, {}, "([IPv6:2001:db8::1])"),
            ({"helo": ""}, {}, "from unknown ("),
        ],
    )
    async def test_the_received_field_has_the_protocol(
        self, store: SqliteStore, changes: dict[str, Any], envelope: dict[str, Any], words: str
    ) -> None:
        login = {"credentials": {"app1": {"secret_hash": hash_secret("secret", b"s" * 16)}}}
        assert words in await Harness(store, **login).added(session=replace(SESSION, **changes), **envelope)


class TestSandbox:
    async def test_mail_of_a_login_that_was_removed_is_refused(self, store: SqliteStore) -> None:
        harness = Harness(store)
        reply = await harness.take(session=replace(SESSION, credential="gone"))
        assert (reply.code, "its sandbox cannot be read" in reply.text) == (451, True)
        assert await harness.stored() == []

    async def test_sandbox_mail_has_no_provider_but_the_receiver_inside(self, store: SqliteStore) -> None:
        provider = {"name": "up", "host": "127.0.0.1", "hourly_limit": 1}
        defaults = {"provider": "up", "fallback_providers": ["direct"], "sandbox": True}
        harness = Harness(store, provider=[provider], defaults=defaults)
        for _ in range(3):
            await harness.take("a@x.test", "hard@simulator.relay.invalid")
        stored = await harness.stored()
        assert {(message.policy.providers, message.policy.would_leave_by) for message, _ in stored} == {
            (("simulator",), "up")
        }
        assert {entry.lane for _, entry in stored} == {"simulator:sandbox", "simulator:hard"}
        assert all(entry.release_at == 0 for _, entry in stored)
        assert all(event.data["simulated"] for event in harness.events)


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


class TestLargeHeaders:
    async def test_a_large_header_is_read_in_a_thread(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read_in: list[threading.Thread] = []

        def recorded(content: bytes, *given: Any) -> MessageFacts:
            read_in.append(threading.current_thread())
            return parse_facts(content, *given)

        monkeypatch.setattr(accept, "parse_facts", recorded)
        house = Harness(store)
        large = b"X-More: " + b"y " * accept.LARGE_HEADER + b"\r\n" + CONTENT
        assert (await house.take(content=CONTENT)).code == 250
        assert (await house.take(content=large)).code == 250
        assert [one is threading.main_thread() for one in read_in] == [True, False]

    async def test_a_refusal_comes_from_the_thread_as_well(self, store: SqliteStore) -> None:
        house = Harness(store)
        large = b"X-More: " + b"y " * accept.LARGE_HEADER + b"\r\nX-Relay-Send-At: soon\r\n" + CONTENT
        refused = await house.take(content=large)
        assert str(refused).startswith('554 5.6.0 X-Relay-Send-At: "soon" is not a time')
        assert not await house.stored()


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


async def test_what_the_application_said_is_kept(store: SqliteStore) -> None:
    harness = Harness(store, verification={"campaign": False})
    said = b"X-Relay-Campaign: autumn\r\nX-Relay-Tag: t\r\nX-Relay-Meta-k: v\r\nX-Relay-Odd: 1\r\n"
    to = (Recipient("u@x.test", ("SUCCESS", "DELAY"), "rfc822;u@x.test"),)
    await harness.take(content=said + CONTENT, recipients=to, ret="FULL", envid="E1", smtputf8=True)
    ((message, entry),) = await harness.stored()
    assert (message.campaign, message.tags, message.metadata) == ("autumn", ("t",), {"k": "v"})
    assert (message.ret, message.envid, message.smtputf8) == ("FULL", "E1", True)
    assert (entry.notify, entry.orcpt) == (("SUCCESS", "DELAY"), "rfc822;u@x.test")
    assert harness.events[0].data["ignored_fields"] == ["x-relay-odd"]


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


async def test_a_reverse_path_of_somebody_else_is_unproven_when_it_is_accepted(store: SqliteStore) -> None:
    harness = Harness(store, domains={"acme.test": {"return_path": "bounces.acme-mail.test"}})
    own = ("app@acme.test", "app@sub.acme.test", "bounce@acme-mail.test", "")
    for path in (*own, "victim@bank.test"):
        await harness.take(reverse_path=path)
    unproven = [message.reverse_path for message, _ in await harness.stored() if message.policy.unproven_sender]
    assert unproven == ["victim@bank.test"]


class TestFieldsOfMailServices:
    async def test_a_list_is_ignored_only_for_a_credential_that_may(self, store: SqliteStore) -> None:
        hashed = "blake2b:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        credentials = {"may": {"secret_hash": hashed, "may_bypass_lists": True}, "other": {"secret_hash": hashed}}
        harness = Harness(store, credentials=credentials)
        await store.suppressions.add([Suppression("u@rcpt.test", created_at=NOW)])
        asked = b'X-MSYS-API: {"options": {"skip_suppression": true}}\r\n' + CONTENT
        for name in ("may", "other"):
            await harness.take(content=asked, session=replace(SESSION, credential=name))
        (_, first), (_, second) = sorted(await harness.stored(), key=lambda one: one[0].queue_id)
        assert (first.state, second.state) == (State.WAITING, State.DROPPED)
        ignored = [event.data.get("ignored_fields") for event in harness.events if event.kind is Kind.CREATED]
        assert ignored == [None, ["X-MSYS-API options.skip_suppression: this login may not"]]

    async def test_an_expiry_ends_the_lifetime_earlier(self, store: SqliteStore) -> None:
        harness = Harness(store)
        await harness.take(content=b"X-Mailgun-Deliver-Within: 1h\r\n" + CONTENT)
        ((_, entry),) = await harness.stored()
        assert entry.expires_at == NOW + 3600

    async def test_a_copy_takes_a_slot(self, store: SqliteStore) -> None:
        harness = Harness(store, **LIMITED)
        await harness.take("u@rcpt.test", "v@rcpt.test", content=b"X-MC-BccAddress: w@rcpt.test\r\n" + CONTENT)
        entries = sorted((entry for _, entry in await harness.stored()), key=lambda one: one.number)
        assert [(one.recipient, one.release_at > NOW) for one in entries] == [
            ("u@rcpt.test", False),
            ("v@rcpt.test", False),
            ("w@rcpt.test", True),
        ]
        assert entries[2].notify == ("NEVER",)

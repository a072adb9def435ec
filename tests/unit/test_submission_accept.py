"""Accepting into a real store: what is stored as it came, and what is added."""

import re
import threading
from dataclasses import replace
from typing import Any

import pytest

from relay.config.secret_hash import hash_secret
from relay.events.event import Kind
from relay.limits.window import HOUR
from relay.mail.transaction import Recipient
from relay.policy.message_facts import MessageFacts, parse_facts
from relay.queue.entry import State
from relay.storage.sqlite.store import SqliteStore
from relay.submission import accept
from relay.suppression.model import Suppression
from tests.unit.submission_harness import CONTENT, LIMITED, NOW, SESSION, Harness, store

__all__ = ["store"]


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

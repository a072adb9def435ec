"""What the result of the spam check means for a message, over a real store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.config.secret_hash import hash_secret
from relay.events.event import Kind
from relay.queue.entry import State
from relay.storage.sqlite.store import SqliteStore
from relay.submission.spam import SpamRequest, SpamResult, Unchecked
from relay.suppression.model import Suppression
from tests.unit.submission_harness import CONTENT, LIMITED, NOW, SESSION, Harness

SPAM = SpamResult("spam", 20.0, 15.0, (("PILLS", 20.0),))

HAM = SpamResult("ham", 1.5, 15.0, (("HTML", 1.5),))

LATER = SpamResult("later", 5.0, 15.0)


class Filter:
    """A filter with one result."""

    def __init__(self, outcome: SpamResult | Unchecked) -> None:
        self.outcome = outcome
        self.requests: list[SpamRequest] = []

    async def check(self, request: SpamRequest) -> SpamResult | Unchecked:
        self.requests.append(request)
        return self.outcome


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    yield opened
    await opened.close()


def harness(store: SqliteStore, outcome: SpamResult | Unchecked, **sections: Any) -> tuple[Harness, Filter]:
    spam = {"rspamd": "http://127.0.0.1:11333", **sections.pop("spam", {})}
    made, spam_filter = Harness(store, spam=spam, **sections), Filter(outcome)
    made.handler = replace(made.handler, spam=spam_filter)
    return made, spam_filter


async def test_spam_is_accepted_and_dropped_without_slots_and_copies(store: SqliteStore) -> None:
    made, _ = harness(store, SPAM, domains={"acme.test": {"bcc": ["archive@x.test"]}}, **LIMITED)
    for _ in range(4):
        assert (await made.take("a@x.test", "B@x.test")).code == 250
    entries = [entry for _, entry in await made.stored()]
    assert {(entry.state, entry.reason) for entry in entries} == {(State.DROPPED, "spam: score 20 of 15 (PILLS)")}
    assert {entry.recipient for entry in entries} == {"a@x.test", "B@x.test"}
    assert await store.queue.content(entries[0].queue_id) is None
    created, dropped = made.events[0], made.events[2]
    assert created.data["spam_score"] == 20.0
    assert created.data["spam_symbols"] == ["PILLS(20)"]
    assert (dropped.kind, dropped.data["category"]) == (Kind.DROPPED, "spam_content")


async def test_mail_that_is_no_spam_leaves_with_its_score(store: SqliteStore) -> None:
    made, _ = harness(store, HAM)
    assert (await made.take()).code == 250
    ((_, entry),) = await made.stored()
    assert (entry.state, made.events[0].data["spam_score"]) == (State.WAITING, 1.5)


@pytest.mark.parametrize(
    ("outcome", "fail", "code"),
    [
        (Unchecked("away"), "open", 250),
        (Unchecked("away"), "closed", 451),
        (LATER, "open", 451),
        (LATER, "closed", 451),
    ],
)
async def test_mail_that_was_not_checked(
    store: SqliteStore, outcome: SpamResult | Unchecked, fail: str, code: int
) -> None:
    made, _ = harness(store, outcome, spam={"fail": fail})
    reply = await made.take()
    assert (reply.code, len(await made.stored()), len(made.events)) == ((code, 1, 1) if code == 250 else (451, 0, 0))
    if code == 250:
        assert made.events[0].data["spam_unchecked"] == "away"
    else:
        assert reply.status == "4.7.1"


async def test_the_filter_gets_the_beginning_of_the_mail_as_it_would_be_sent(store: SqliteStore) -> None:
    login = {"app": {"secret_hash": hash_secret("secret", b"s" * 16)}}
    made, spam_filter = harness(store, HAM, credentials=login)
    content = b"X-Relay-Tag: secret\r\n" + CONTENT + b"x" * 1000
    await made.take("a@x.test", content=content, session=replace(SESSION, credential="app", helo="app.test"))
    (request,) = spam_filter.requests
    sent = request.beginning(200)
    assert sent.startswith(b"Received: from app.test ([192.0.2.7])\r\n\tby relay.test (relay)")
    assert b"\r\nDate: " in sent
    assert b"\r\nMessage-ID: <Q0000000000001@acme.test>\r\n" in sent
    assert b"secret" not in sent
    assert sent.endswith(b"xxx")
    assert len(sent) < 600
    assert (request.queue_id, request.reverse_path, request.recipients) == (
        "Q0000000000001",
        "app@acme.test",
        ("a@x.test",),
    )
    assert (request.client, request.helo, request.credential) == ("192.0.2.7", "app.test", "app")


async def test_what_is_not_checked(store: SqliteStore) -> None:
    made, spam_filter = harness(store, SPAM, spam={"senders": "unlisted"}, **LIMITED)
    await made.take()
    assert (spam_filter.requests, (await made.stored())[0][1].state) == ([], State.WAITING)
    await made.take(content=CONTENT.replace(b"app@", b"other@"), reverse_path="other@acme.test")
    assert len(spam_filter.requests) == 1

    made, spam_filter = harness(store, SPAM)
    made.handler = replace(made.handler, origin="test", new_id=lambda _: "Q0000000000077")
    assert ((await made.take()).code, spam_filter.requests) == (250, [])
    made, spam_filter = harness(store, SPAM, spam={"rspamd": ""})
    made.handler = replace(made.handler, new_id=lambda _: "Q0000000000078")
    assert ((await made.take()).code, spam_filter.requests) == (250, [])


async def test_spam_tests_no_address_on_probation(store: SqliteStore) -> None:
    await store.suppressions.add([Suppression("u@rcpt.test", reason="mailbox_full", expires_at=NOW - 1)])
    made, spam_filter = harness(store, SPAM)
    await made.take()
    spam_filter.outcome = HAM
    await made.take()
    assert [entry.next_attempt_at for _, entry in await made.stored() if entry.state is State.WAITING] == [NOW]

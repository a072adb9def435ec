"""Submissions with an idempotency key by SMTP: the repetition gets the reply of the first."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.mail.instructions import Option, Statement
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.storage.sqlite.store import SqliteStore
from relay.submission.idempotency import KEPT, OTHER_MESSAGE, UNDER_WAY, Submissions, request_digest
from tests.unit.submission_harness import CONTENT, NOW, SESSION, Harness

KEYED = b"X-Relay-Idempotency-Key: order 1042\r\n" + CONTENT


@pytest.fixture
async def harness(tmp_path: Path) -> Any:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    made = Harness(store)
    made.handler = replace(made.handler, submissions=Submissions(store.submissions))
    yield made
    await store.close()


@pytest.mark.parametrize("name", [b"X-Relay-Idempotency-Key", b"Resend-Idempotency-Key"])
async def test_a_repetition_gets_the_first_reply_and_is_not_stored(harness: Harness, name: bytes) -> None:
    content = name + b": order 1042\r\n" + CONTENT
    first = await harness.take(content=b"Date: yesterday\r\nMessage-ID: <1@x>\r\n" + content)
    harness.now += KEPT - 1
    again = await harness.take(content=b"Date: today\r\nMessage-ID: <2@x>\r\n" + content)
    assert str(again) == str(first) == "250 2.0.0 Ok: queued as Q0000000000001"
    assert len(await harness.stored()) == 1
    harness.now += 2
    assert str(await harness.take(content=content)) != str(first)


async def test_the_key_belongs_to_its_credential_or_client(harness: Harness) -> None:
    sessions: list[Session] = [SESSION, replace(SESSION, client="192.0.2.8"), replace(SESSION, credential="app1")]
    replies = {str(await harness.take(content=KEYED, session=one)) for one in sessions}
    assert len(replies) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"content": KEYED.replace(b"Hello", b"Bye")},
        {"content": KEYED.replace(b"hello", b"other")},
        {"reverse_path": "b@acme.test"},
    ],
)
async def test_another_message_with_the_key_is_refused(harness: Harness, change: dict[str, Any]) -> None:
    await harness.take(content=KEYED)
    assert await harness.take(**{"content": KEYED, **change}) == OTHER_MESSAGE
    assert await harness.take("other@x.test", content=KEYED) == OTHER_MESSAGE
    assert len(await harness.stored()) == 1


async def test_a_key_whose_message_was_refused_is_free(harness: Harness) -> None:
    harness.settings = harness.settings.model_copy(update={"limits": replace_limits(harness, require_identity=True)})
    assert (await harness.take(content=KEYED)).code == 550
    harness.settings = harness.settings.model_copy(update={"limits": replace_limits(harness, require_identity=False)})
    assert (await harness.take(content=KEYED)).code == 250


def replace_limits(harness: Harness, **changes: Any) -> Any:
    return harness.settings.limits.model_copy(update=changes)


async def test_of_submissions_at_once_one_is_stored(harness: Harness) -> None:
    replies = await asyncio.gather(*(harness.take(content=KEYED) for _ in range(5)))
    assert {str(one) for one in replies} <= {"250 2.0.0 Ok: queued as Q0000000000001", str(UNDER_WAY)}
    assert len(await harness.stored()) == 1


@pytest.mark.parametrize("key", [b"", b"x" * 257, b"a\tb"])
async def test_a_key_that_is_none_is_refused_with_what_would_be_right(harness: Harness, key: bytes) -> None:
    reply = await harness.take(content=b"X-Relay-Idempotency-Key: " + key + b"\r\n" + CONTENT)
    assert "x-relay-idempotency-key: must have 1 to 256 printable characters" in str(reply)


def digest(content: bytes = CONTENT, **more: Any) -> str:
    envelope = Envelope("a@acme.test", tuple(Recipient(one) for one in more.pop("to", ("a@x.test", "b@x.test"))))
    return request_digest(Transaction(SESSION, envelope, content, **more))


def test_a_message_made_again_has_the_same_digest() -> None:
    parts = b'Content-Type: multipart/mixed; boundary="%s"\r\n\r\n--%s\r\n\r\na\r\n--%s--\r\n'
    assert digest(parts.replace(b"%s", b"first-1")) == digest(parts.replace(b"%s", b"second-12"))
    assert digest(to=("a@x.test", "b@x.test")) == digest(to=("B@x.test", "a@X.test"))
    key = Statement("Idempotency-Key", Option("idempotency_key", "k"))
    assert digest(instructions=(key,)) == digest()


def test_another_message_has_another_digest() -> None:
    tag = Statement("campaign", Option("campaign", "spring"))
    others = [digest(), digest(CONTENT + b"x"), digest(to=("a@x.test",)), digest(instructions=(tag,))]
    assert len({*others, digest(request="part of another")}) == 5


def test_a_message_of_boundaries_takes_few_passes() -> None:
    """A million texts that may be boundaries took the event loop five seconds."""
    many = b"".join(b"boundary=%07d;\r\n" % number for number in range(300_000))
    assert digest(CONTENT + many) == digest(CONTENT + many.replace(b"=0000000", b"=other-one"))
    assert digest(CONTENT + many) != digest(CONTENT + many.replace(b"=0299999", b"=other-one"))

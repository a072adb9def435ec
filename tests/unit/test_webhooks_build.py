"""The body of each event: its fields, its bounds, and what is left out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.webhooks import MessageEvents
from relay.events.event import Event, Kind
from relay.webhooks.bodies import MAX_BODY, MODELS
from relay.webhooks.build import build, parse_reply_text, type_of
from relay.webhooks.feed import Position, StoredEvent
from relay.webhooks.filters import Filter, is_reported, restricted
from tests.contract.values import NOW
from tests.servers.webhook_harness import invoice


def body(kind: Kind, data: dict[str, Any] | None = None, **more: Any) -> Any:
    event = Event(kind, NOW + 0.25, "Q1", 0, "ada@reader.test", data or {})
    options = {key: more.pop(key) for key in ("subject", "test") if key in more}
    stored = StoredEvent(Position(0, 1), event, invoice(**more))
    return json.loads(build(stored, **options).body.encode())


def test_every_kind_has_a_model_and_a_name_in_the_configuration() -> None:
    kinds = {kind.value for kind in Kind}
    assert {f"message.{kind}" for kind in kinds} == set(MODELS)
    assert set(MessageEvents.__args__) == kinds  # type: ignore[attr-defined]


def test_a_bounce_says_what_it_means_and_what_to_do() -> None:
    found = body(Kind.BOUNCED, {"reply": "550 5.1.1 No such user", "category": "bad_mailbox", "attempt": 2})
    data = found["data"]
    assert (found["type"], found["timestamp"]) == ("message.bounced", "2027-01-15T08:00:00.250Z")
    assert data["reply"] == {"code": 550, "status": "5.1.1", "text": "No such user"}
    assert data["bounce"]["class"] == "hard"
    assert data["bounce"]["suppressed"] is True
    assert data["bounce"]["guidance"]
    assert (data["from"], data["kind"], data["metadata"]) == ("billing@acme.test", "transactional", {"invoice": "1042"})
    assert data["attempt"] == 2
    assert "subject" not in data


def test_subject_and_test_mark_come_only_when_they_are_asked_for() -> None:
    assert body(Kind.CREATED, subject=True)["data"]["subject"] == "Invoice 1042"
    assert body(Kind.CREATED, test=True)["data"]["test"] is True


def test_a_request_of_a_machine_is_labelled() -> None:
    assert body(Kind.OPEN)["data"]["machine"] is None
    assert body(Kind.OPEN, {"machine": True, "reason": "scanner"})["data"]["machine"] == {
        "verdict": "machine",
        "reasons": ["scanner"],
    }
    assert body(Kind.OPEN, {"proxied": True})["data"]["machine"]["verdict"] == "proxy"


def test_a_reply_and_a_click_have_their_own_fields() -> None:
    reply = body(Kind.REPLY, {"from": "ada@reader.test", "subject": "Re: Invoice", "automatic": True})["data"]
    assert (reply["from"], reply["reply_from"], reply["automatic"]) == ("billing@acme.test", "ada@reader.test", True)
    click = body(Kind.CLICK, {"target": "https://acme.test/?a=1", "client": "192.0.2.1"})["data"]
    assert (click["url"], click["client"]) == ("https://acme.test/?a=1", "192.0.2.1")


def test_an_event_of_a_purged_message_has_what_the_event_itself_says() -> None:
    event = Event(Kind.DELIVERED, NOW, "Q1", 0, "a@x.test", {"domain": "acme.test", "identity": "b@acme.test"})
    data = json.loads(build(StoredEvent(Position(), event, None)).body.encode())["data"]
    assert (data["domain"], data["identity"], data["message_id"]) == ("acme.test", "b@acme.test", "")


@pytest.mark.parametrize("kind", list(Kind))
def test_no_body_is_longer_than_64_kib_whatever_comes_from_outside(kind: Kind) -> None:
    long = '\U0001f600\x00"\\' * 20_000
    names = ("reply", "remote", "reason", "client", "user_agent", "target", "from", "subject", "by", "feedback_type")
    found = build(
        StoredEvent(
            Position(),
            Event(kind, NOW, "Q1", 0, "a@x.test", dict.fromkeys(names, long)),
            invoice(
                subject=long,
                message_id=long,
                campaign=long,
                tags=tuple(f"{number}{long}" for number in range(50)),
                metadata={f"{number}{long[:9]}": long for number in range(100)},
            ),
        ),
        subject=True,
    ).body.encode()
    assert len(found) <= MAX_BODY
    data = json.loads(found)["data"]
    assert {"metadata", "tags", "campaign", "subject"} <= set(data["cut"])
    assert data["metadata"]
    assert all(text.isprintable() for text in data["tags"])


@given(st.text(max_size=60))
def test_any_reply_is_read(text: str) -> None:
    reply = parse_reply_text(text)
    assert reply.code == 0 or 200 <= reply.code < 600


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ("550 5.1.1 No such user", "", (550, "5.1.1", "No such user")),
        ("smtp; 550 5.1.1 No such user", "", (550, "5.1.1", "No such user")),
        ("421 try later", "4.4.2", (421, "4.4.2", "try later")),
        ("no connection", "", (0, "", "no connection")),
        ("5.1.1 gone", "", (0, "5.1.1", "gone")),
        ("", "5.0.0", (0, "5.0.0", "")),
    ],
)
def test_code_status_and_text_of_a_reply_are_distinguished(
    text: str, status: str, expected: tuple[int, str, str]
) -> None:
    reply = parse_reply_text(text, status)
    assert (reply.code, reply.status, reply.text) == expected


def test_a_reader_restricted_to_identities_sees_only_theirs() -> None:
    event = StoredEvent(Position(), Event(Kind.OPEN, NOW, "Q1", 0), invoice())
    assert restricted(Filter(), ["Billing@Acme.test"]).passes(event)
    assert not restricted(Filter(), ["other@acme.test"]).passes(event)
    assert not restricted(Filter(identities=frozenset({"a@x.test"})), ["billing@acme.test"]).passes(event)


def test_the_type_is_the_name_of_the_log_line() -> None:
    assert type_of(Event(Kind.OPEN, NOW, "Q1", 0)) == "message.open"
    assert is_reported(Event(Kind.OPEN, NOW, "Q1", 0), None)
    assert not is_reported(Event(Kind.OPEN, NOW, "Q1", 0, data={"origin": "dsn"}), None)

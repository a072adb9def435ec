"""Each format against readers of the vendors' posts, and against payloads of the vendors where they are present."""

import json
from typing import Any

import pytest

from relay.events.event import Event, Kind
from relay.render.message_policy import MessagePolicy
from relay.webhooks.bodies import MessageEvent
from relay.webhooks.build import Record, build
from relay.webhooks.feed import Position, StoredEvent
from relay.webhooks.formats.cloudevents import cloudevents_binary_post
from relay.webhooks.formats.post import Sender
from relay.webhooks.formats.registry import FORMATS, compose
from relay.webhooks.signing import parse_key, sendgrid_key, sendgrid_public
from tests.contract.values import NOW
from tests.servers.vendor_readers import Anymail, sendgrid_verifies, standard_webhooks
from tests.servers.webhook_harness import SECRET, invoice
from tests.shared import SHARED

SENDER = Sender("crm", "relay.test", (parse_key(SECRET),), SECRET)

TOKEN = "0123456789" * 5

REFUSED = {
    "reply": "550 5.1.1 No such user",
    "status": "5.1.1",
    "remote": "mx.reader.test[192.0.2.10]:25",
    "attempt": 1,
}

DATA: dict[Kind, dict[str, Any]] = {
    Kind.PROCESSED: {"lane": "mx:reader.test"},
    Kind.DELIVERED: {**REFUSED, "reply": "250 2.0.0 OK", "status": "2.0.0", "delay": 0.8},
    Kind.DEFERRED: {**REFUSED, "reply": "451 4.7.1 Greylisted", "status": "4.7.1", "next_attempt_at": NOW + 300.0},
    Kind.BOUNCED: {**REFUSED, "category": "bad_mailbox", "delay": 0.8},
    Kind.DROPPED: {"reason": "suppressed: bad_mailbox (550 5.1.1 No such user)"},
    Kind.OPEN: {"id": "o", "client": "198.51.100.7", "user_agent": "Mozilla/5.0"},
    Kind.CLICK: {"id": "c", "client": "198.51.100.7", "user_agent": "Mozilla/5.0", "target": "https://acme.test/1042"},
    Kind.COMPLAINT: {"feedback_type": "abuse"},
    Kind.UNSUBSCRIBE: {"by": "page", "client": "198.51.100.7"},
}

KNOWN_AS = {
    Kind.PROCESSED: "queued",
    Kind.DELIVERED: "delivered",
    Kind.DEFERRED: "deferred",
    Kind.BOUNCED: "bounced",
    Kind.DROPPED: "rejected",
    Kind.OPEN: "opened",
    Kind.CLICK: "clicked",
    Kind.COMPLAINT: "complained",
    Kind.UNSUBSCRIBE: "unsubscribed",
}
"""django-anymail's name of each kind."""

ELSEWHERE = {
    ("mailgun", Kind.DROPPED): "bounced",
    ("ses", Kind.PROCESSED): "sent",
    ("ses", Kind.DROPPED): "bounced",
    ("ses", Kind.DEFERRED): "unknown",
    ("ses", Kind.UNSUBSCRIBE): "unknown",
}


def record(kind: Kind, **changes: Any) -> Record:
    data = DATA.get(kind, {}) | changes
    event = Event(kind, NOW, "Q1", 0, "ada@reader.test", data)
    return build(StoredEvent(Position(0, 1), event, invoice()))


def posted(name: str, *records: Record, sender: Sender = SENDER, now: float = NOW) -> Any:
    return compose(FORMATS[name], records, sender, now, TOKEN)  # type: ignore[index]


@pytest.mark.parametrize("name", ["sendgrid", "mailgun", "postmark", "ses"])
@pytest.mark.parametrize("kind", list(KNOWN_AS))
def test_anymail_reads_every_event_of_every_vendor(name: str, kind: Kind) -> None:
    one = record(kind)
    if not FORMATS[name].takes(one):  # type: ignore[index]
        assert name == "postmark"
        assert kind in (Kind.PROCESSED, Kind.DROPPED)
        return
    post = posted(name, one)
    login = {"Authorization": "Basic aG9vazpzZWNyZXQ="}
    (event,) = Anymail(SECRET).read(name, {**login, **post.headers}, post.body)
    assert event.event_type == ELSEWHERE.get((name, kind), KNOWN_AS[kind])
    assert event.recipient == "ada@reader.test"
    assert event.metadata["invoice"] == "1042"
    assert event.tags[:1] == ["invoice"]
    assert event.timestamp.timestamp() == pytest.approx(NOW, abs=1)
    if kind is Kind.CLICK:
        assert event.click_url == "https://acme.test/1042"
    if kind is Kind.BOUNCED and name != "sendgrid":
        assert event.reject_reason == "bounced"


def test_sendgrid_verifies_a_batch_with_its_own_library() -> None:
    post = posted("sendgrid", record(Kind.OPEN), record(Kind.CLICK))
    public = sendgrid_public(sendgrid_key(SENDER.keys[0]))
    assert sendgrid_verifies(public, post.headers, post.body)
    assert not sendgrid_verifies(public, post.headers, post.body + b" ")
    assert [one["event"] for one in json.loads(post.body)] == ["open", "click"]


def test_fields_of_the_vendor_win_over_metadata_of_the_same_name() -> None:
    event = Event(Kind.DELIVERED, NOW, "Q1", 0, "ada@reader.test", DATA[Kind.DELIVERED])
    message = invoice(metadata={"email": "forged@x.test", "event": "open", "invoice": "1"}, tags=("one",))
    (found,) = json.loads(posted("sendgrid", build(StoredEvent(Position(), event, message))).body)
    assert (found["email"], found["event"], found["invoice"]) == ("ada@reader.test", "delivered", "1")
    assert found["category"] == "one"


def test_a_category_comes_back_to_sendgrid_in_the_form_in_which_it_was_written() -> None:
    event = Event(Kind.DELIVERED, NOW, "Q1", 0, "ada@reader.test", DATA[Kind.DELIVERED])
    message = invoice(tags=("one",), policy=MessagePolicy(tags_were_a_list=True))
    (found,) = json.loads(posted("sendgrid", build(StoredEvent(Position(), event, message))).body)
    assert found["category"] == ["one"]


@pytest.mark.parametrize(("category", "word"), [("blocked", "Reputation"), ("mailbox_full", "Mailbox Unavailable")])
def test_sendgrid_says_blocked_for_what_is_not_hard(category: str, word: str) -> None:
    (found,) = json.loads(posted("sendgrid", record(Kind.BOUNCED, category=category)).body)
    assert (found["type"], found["bounce_classification"]) == ("blocked", word)
    assert "type" not in json.loads(posted("sendgrid", record(Kind.DROPPED)).body)[0]


def test_postmark_takes_only_the_first_deferral_and_automatic_replies() -> None:
    takes = FORMATS["postmark"].takes
    assert takes(record(Kind.DEFERRED))
    assert not takes(record(Kind.DEFERRED, attempt=2))
    assert takes(record(Kind.REPLY, automatic=True))
    assert not takes(record(Kind.REPLY))
    body = json.loads(posted("postmark", record(Kind.REPLY, automatic=True)).body)
    assert (body["Type"], body["TypeCode"]) == ("AutoResponder", 64)
    assert 0 < body["ID"] < 2**53


def test_cloudevents_has_the_data_of_the_format_standard() -> None:
    one = record(Kind.BOUNCED)
    post = posted("cloudevents", one)
    event = json.loads(post.body)
    assert event["data"] == json.loads(one.body.encode())["data"]
    assert (event["specversion"], event["id"], event["type"]) == ("1.0", one.id, "message.bounced")
    assert event["subject"] == "ada@reader.test"
    assert post.headers["Content-Type"].startswith("application/cloudevents+json")


def test_cloudevents_in_binary_mode_has_the_attributes_in_header_fields() -> None:
    one = record(Kind.BOUNCED)
    post = posted("cloudevents-binary", one)
    given = json.loads(one.body.encode())
    assert json.loads(post.body) == given["data"]
    assert post.headers["Content-Type"] == "application/json"
    assert {name: value for name, value in post.headers.items() if name.startswith("ce-")} == {
        "ce-specversion": "1.0",
        "ce-id": one.id,
        "ce-source": "/relay/relay.test",
        "ce-type": "message.bounced",
        "ce-time": given["timestamp"],
        "ce-subject": "ada@reader.test",
    }


def test_attributes_beyond_ascii_are_percent_encoded_in_header_fields() -> None:
    """The example of the HTTP Protocol Binding 1.0, section 3.1.3.2, as a recipient."""
    body = record(Kind.BOUNCED).body
    assert isinstance(body.data, MessageEvent)
    data = body.data.model_copy(update={"recipient": "Euro € 😀 100%"})
    post = cloudevents_binary_post(body.model_copy(update={"data": data}), Sender("crm", "relay.test"))
    assert post.headers["ce-subject"] == "Euro%20%E2%82%AC%20%F0%9F%98%80%20100%25"


def test_slack_gets_one_sentence_without_markup() -> None:
    text = json.loads(posted("slack", record(Kind.BOUNCED, reply="550 5.1.1 <!channel> & co")).body)["text"]
    assert text == "message.bounced: ada@reader.test Q1 (550 5.1.1 &lt;!channel&gt; &amp; co)"


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_has_a_signature_of_standard_webhooks(name: str) -> None:
    import time

    now = time.time()
    post = posted(name, record(Kind.BOUNCED), now=now)
    assert standard_webhooks(SECRET, post.headers, post.body)


VENDORS = SHARED / "data" / "vendors" / "webhooks"

SAME_SHAPE = [
    ("sendgrid-processed", Kind.PROCESSED, {"pool"}),
    ("sendgrid-delivered", Kind.DELIVERED, {"tls"}),
    ("sendgrid-deferred", Kind.DEFERRED, set()),
    ("sendgrid-bounce", Kind.BOUNCED, {"tls"}),
    ("sendgrid-dropped_bounced", Kind.DROPPED, set()),
    ("sendgrid-open", Kind.OPEN, set()),
    ("sendgrid-click", Kind.CLICK, set()),
    ("sendgrid-spamreport", Kind.COMPLAINT, set()),
    ("sendgrid-unsubscribe", Kind.UNSUBSCRIBE, set()),
    ("postmark-delivery", Kind.DELIVERED, set()),
    ("postmark-bounce_hard", Kind.BOUNCED, set()),
    ("postmark-spam_complaint", Kind.COMPLAINT, set()),
    ("postmark-open", Kind.OPEN, set()),
    ("postmark-click", Kind.CLICK, set()),
    ("postmark-subscription_off", Kind.UNSUBSCRIBE, set()),
    ("mailgun-accepted", Kind.PROCESSED, set()),
    ("mailgun-delivered", Kind.DELIVERED, set()),
    ("mailgun-failed_temporary", Kind.DEFERRED, set()),
    ("mailgun-failed_permanent", Kind.BOUNCED, set()),
    ("mailgun-failed_suppress_bounce", Kind.DROPPED, set()),
    ("mailgun-opened", Kind.OPEN, set()),
    ("mailgun-clicked", Kind.CLICK, set()),
    ("mailgun-complained", Kind.COMPLAINT, set()),
    ("ses-delivery", Kind.DELIVERED, set()),
    ("ses-bounce_permanent", Kind.BOUNCED, set()),
    ("ses-complaint", Kind.COMPLAINT, {"userAgent", "arrivalDate"}),
    ("ses-open", Kind.OPEN, set()),
    ("ses-click", Kind.CLICK, set()),
]
"""Payload of a vendor, the kind that makes it, and fields of it that relay has no value for."""


@pytest.mark.skipif(not VENDORS.is_dir(), reason="the payloads of the vendors are not present")
@pytest.mark.parametrize(("file", "kind", "missing"), SAME_SHAPE)
def test_a_post_has_the_fields_of_the_vendor(file: str, kind: Kind, missing: set[str]) -> None:
    theirs = json.loads((VENDORS / f"{file}.json").read_text())
    ours = json.loads(posted(file.partition("-")[0], record(kind)).body)
    ours, theirs = _inner(ours), _inner(theirs)
    assert set(theirs) - set(ours) - missing <= {"subject"}
    for name in set(theirs) & set(ours):
        if theirs[name] is not None and name not in ("category",):
            assert type(ours[name]) is type(theirs[name]), name
    for name in ("event", "RecordType", "Type", "TypeCode", "severity", "reason", "eventType", "bounceType", "type"):
        if name in theirs:
            assert ours[name] == theirs[name]


def _inner(value: Any) -> dict[str, Any]:
    """Return the object that describes the event."""
    if isinstance(value, list):
        return dict(value[0])
    if "event-data" in value:
        return dict(value["event-data"])
    if "Message" in value:
        message = json.loads(value["Message"])
        name = message["eventType"]
        return {"eventType": name, **message[name[0].lower() + name[1:]]}
    return dict(value)

"""What today's rules make of the rows of the suppression list."""

from dataclasses import replace

import pytest

from relay.config.settings import Settings
from relay.dsn.rules_file import built_in_rules
from relay.events.event import Event, Kind
from relay.mail.queue_id import queue_id
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import Story
from relay.reports.suppression_replay import Verdict, replay
from relay.suppression.model import COMPLAINT, Suppression

NOW = 1_800_000_000.0

ID = queue_id(NOW, 1)

SETTINGS = Settings.model_validate({"provider": [{"name": "own", "host": "mx.own.test"}]})

POLICY = BouncePolicy(built_in_rules, threshold=3)

GONE = Suppression("u@x.test", "", "bad_mailbox", "", "550 5.1.1 user unknown", ID, NOW + 60)


def story(
    recipient: str = "U@x.test", state: State = State.DELIVERED, lane: str = "mx:x.test", **event: object
) -> Story:
    message = Message(ID, NOW, "news@acme.test", MessagePolicy(domain="acme.test"))
    entry = Entry(ID, 0, recipient, lane, NOW, NOW + 9, NOW, state=state)
    events = (Event(Kind.BOUNCED, NOW, ID, 0, data=event),) if event else ()
    return Story(message, (entry,), events)


def step(row: Suppression, about: Story | None) -> str:
    return replay(SETTINGS, POLICY, row, about).step


def test_rows_of_the_operator_stay() -> None:
    assert step(Suppression("u@x.test"), None) == "keep"
    assert step(replace(GONE, provenance="import", reason="spam_content"), story("other@x.test")) == "keep"


@pytest.mark.parametrize(
    "row",
    [
        replace(GONE, reason="blocked"),
        replace(GONE, reason="of a former version"),
        replace(GONE, reply="554 5.7.1 Client host [192.0.2.9] blocked using zen.spamhaus.org"),
    ],
)
def test_a_reply_that_suppresses_nobody_today_is_lifted(row: Suppression) -> None:
    assert step(row, None) == "lift"


def test_evidence_about_a_forgotten_message_is_lifted_and_what_cannot_be_judged_stays() -> None:
    later = replace(GONE, created_at=NOW + SETTINGS.queue.retention + 1)
    assert step(later, None) == step(replace(later, reason=COMPLAINT, reply=""), None) == "lift"
    assert step(GONE, None) == step(replace(GONE, queue_id=""), None) == "keep"


def test_an_address_the_message_was_not_sent_to_is_lifted() -> None:
    assert step(GONE, story("other@x.test")) == step(GONE, story(state=State.DROPPED)) == "lift"


def test_a_scope_wider_than_what_is_proven_is_narrowed() -> None:
    refused, late = story(state=State.BOUNCED, reply="550 no"), story(late=True, reply="550 no")
    assert step(GONE, refused) == "keep"
    narrowed = replay(SETTINGS, POLICY, GONE, late)
    assert narrowed == Verdict("narrow", "the evidence proves nothing for mail of others than acme.test", "acme.test")
    assert step(GONE, story(state=State.BOUNCED, lane="provider:own", reply="550 no")) == "narrow"
    assert step(replace(GONE, domain="acme.test"), late) == "keep"
    assert step(replace(GONE, provenance="report"), late) == "keep"

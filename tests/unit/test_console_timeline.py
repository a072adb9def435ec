"""The way of a message in words, and its row in the list."""

from dataclasses import replace

import pytest

from relay.console.message_rows import message_row
from relay.console.timeline import ShownEvent, folded, shown, stations
from relay.events.event import Event, Kind
from relay.mail.reply import Reply
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import Story
from relay.rewrite.options import Tracking

NOW = 1_800_000_000.0

MESSAGE = Message(
    "1M8PWY6BNNZFMM",
    NOW,
    "billing@acme.test",
    MessagePolicy("acme.test", tracking=Tracking(base_url="https://t.acme.test")),
    subject="Invoice",
    header_from="billing@acme.test",
    metadata={"invoice": "1042"},
)

ENTRY = Entry("1M8PWY6BNNZFMM", 0, "ada@reader.test", "mx:reader.test", NOW, NOW + 72 * 3600, NOW)


def event(kind: Kind, seconds: float = 1.0, number: int = 0, **data: object) -> Event:
    return Event(kind, NOW + seconds, MESSAGE.queue_id, number, ENTRY.recipient, data)


def story(entry: Entry, *events: Event) -> Story:
    return Story(MESSAGE, (entry,), events)


DELIVERED = replace(ENTRY, state=State.DELIVERED, attempts=1)


def test_the_way_of_a_message_that_was_read() -> None:
    read = story(
        DELIVERED, event(Kind.DELIVERED, 1.2), event(Kind.OPEN, 60), event(Kind.CLICK, 90), event(Kind.CLICK, 99)
    )
    assert [(state, name, note) for state, name, note in stations(read, DELIVERED, NOW + 100)][1:] == [
        ("ok", "Sent", "1 try"),
        ("ok", "Delivered", "in 1.2 s"),
        ("ok", "Opened", "08:01"),
        ("ok", "Clicked", "2×"),
    ]
    assert message_row(read).seen == "Opened, clicked 2×"


def test_machines_open_nothing() -> None:
    fetched = story(DELIVERED, event(Kind.OPEN, machine=True), event(Kind.CLICK, machine=True))
    assert stations(fetched, DELIVERED, NOW)[-2:] == (("", "Opened", "not seen"), ("", "Clicked", "–"))
    assert message_row(fetched).seen == "Machine only"


def test_a_message_that_waits() -> None:
    reply = Reply(452, "4.2.2", "Mailbox full")
    entry = replace(ENTRY, attempts=14, next_attempt_at=NOW + 3600, last_reply=reply)
    waits = story(entry, event(Kind.DEFERRED, category="mailbox_full", reply=str(reply)))
    assert stations(waits, entry, NOW)[1:3] == (("wait", "Tried", "14 tries"), ("", "Delivered", "next 09:00"))
    row = message_row(waits)
    assert (row.statuses, row.notes) == (["deferred"], "Mailbox full · 452 4.2.2 · invoice=1042")


def test_a_bounce_after_delivery_is_bounced() -> None:
    late = story(DELIVERED, event(Kind.DELIVERED), event(Kind.BOUNCED, 60, late=True, category="bad_mailbox"))
    assert stations(late, DELIVERED, NOW)[2] == ("bad", "Bounced", "after delivery")
    assert message_row(late).statuses == ["bounced"]


@pytest.mark.parametrize("state", State)
def test_every_state_has_its_way(state: State) -> None:
    assert stations(story(replace(ENTRY, state=state)), replace(ENTRY, state=state), NOW)[0][1] == "Accepted"


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_event_has_words_also_without_data(kind: Kind) -> None:
    assert shown(event(kind), NOW).title
    assert shown(event(kind, plain=True, category="nonsense", reply=None), NOW).title


def test_several_recipients_are_one_row_that_shows_who_needs_attention() -> None:
    other = replace(ENTRY, number=1, recipient="office@corp.test", state=State.BOUNCED)
    row = message_row(Story(MESSAGE, (DELIVERED, other), ()))
    assert (row.statuses, row.recipient, row.others) == (["bounced", "delivered"], "office@corp.test", 1)


def test_events_alike_are_folded() -> None:
    alike = [ShownEvent(NOW + number, "Deferred by mx", code="452") for number in range(9)]
    assert [one.title for one in folded(alike)] == ["Deferred by mx", "7 times more", "Deferred by mx"]
    assert list(folded(alike[:3])) == alike[:3]

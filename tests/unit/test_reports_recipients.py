"""The report on recipients: what each row says, and how rows are counted by a label."""

from dataclasses import replace

from relay.config.server import Proxies
from relay.events.event import Event, Kind
from relay.mail.reply import Reply
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import Story
from relay.reports.recipients import LabelCounts, count_labels, recipient_rows
from relay.reports.serialize import story_json

NOW = 1_800_000_000.0

LATE = Event(
    Kind.BOUNCED, NOW, "A", 1, "b@x.test", {"late": True, "reply": "550 5.1.1 no such user", "category": "bad_mailbox"}
)


def entry(number: int, state: State = State.DELIVERED) -> Entry:
    reply = Reply(250, "2.0.0", "Ok")
    return Entry(
        "A", number, f"{number}@x.test", "mx:x.test", NOW, NOW + 60, NOW, state=state, attempts=1, last_reply=reply
    )


STORY = Story(
    Message("A", NOW, "app@acme.test", MessagePolicy(copies=(3,)), tags=("due", "first"), metadata={"invoice": "1042"}),
    (entry(0), entry(1), entry(2), entry(3)),
    (
        Event(Kind.OPEN, NOW, "A", 0),
        Event(Kind.OPEN, NOW, "A", 2, data={"machine": True}),
        LATE,
    ),
)


def selected(*statuses: str) -> list[str]:
    return [str(row["recipient"]) for row in recipient_rows(STORY, frozenset(statuses))]


def test_statuses_select_by_fate_and_by_what_people_did() -> None:
    assert selected() == ["0@x.test", "1@x.test", "2@x.test"]
    assert selected("bounced") == ["1@x.test"]
    assert selected("opened") == ["0@x.test"]
    assert selected("unopened") == ["2@x.test"], "a machine opens nothing, and what came back is not unopened"
    assert selected("delivered", "bounced") == ["0@x.test", "1@x.test", "2@x.test"]
    assert len(list(recipient_rows(STORY, frozenset(), with_copies=True))) == 4


def test_the_operator_decides_what_an_open_by_a_proxy_makes_of_a_recipient() -> None:
    story = replace(STORY, events=(*STORY.events, Event(Kind.OPEN, NOW, "A", 2, data={"proxied": True})))

    def found(status: str, proxies: Proxies) -> list[str]:
        return [str(row["recipient"]) for row in recipient_rows(story, frozenset({status}), proxies=proxies)]

    assert (found("opened", "opened"), found("unopened", "opened")) == (["0@x.test", "2@x.test"], [])
    assert (found("opened", "machine"), found("unopened", "machine")) == (["0@x.test"], ["2@x.test"])
    assert (found("opened", "apart"), found("unopened", "apart")) == (["0@x.test"], [])


def test_a_late_bounce_shows_its_own_reply() -> None:
    row = list(recipient_rows(STORY, frozenset()))[1]
    assert (row["status"], row["reply"], row["category"]) == ("bounced", "550 5.1.1 no such user", "bad_mailbox")
    assert "Look for a typing error" in str(row["guidance"])
    recipients = story_json(STORY)["recipients"]
    assert isinstance(recipients, list)
    assert [one["reply"] for one in recipients][:2] == ["250 2.0.0 Ok", "550 5.1.1 no such user"]


def test_labels_are_counted_by_value() -> None:
    counts: dict[str, LabelCounts] = {}
    count_labels(recipient_rows(STORY, frozenset()), "meta:invoice", counts)
    assert counts == {"1042": LabelCounts(sent=3, delivered=2, opened=1, bounced=1)}
    for by, values in (("meta:order", set()), ("tag", {"due", "first"}), ("campaign", set())):
        counts = {}
        count_labels(recipient_rows(STORY, frozenset()), by, counts)
        assert set(counts) == values

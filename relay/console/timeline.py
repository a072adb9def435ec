"""The way of a message to one recipient: its stations, and its events in words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import assert_never

from relay.console.formats import counted, duration, minute, moment, sentence
from relay.dsn.categories import CATEGORIES
from relay.events.event import Event, Kind
from relay.mail.lane import split_lane
from relay.queue.entry import Entry, State
from relay.reports.ports import Story
from relay.reports.serialize import late_bounce

Station = tuple[str, str, str]
"""State ("ok", "wait", "bad" or ""), name and note."""


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One event in words."""

    at: float
    title: str
    text: str = ""
    code: str = ""
    state: str = ""
    is_quiet: bool = False


def stations(story: Story, entry: Entry, now: float) -> Sequence[Station]:
    """Return the stations of the way: accepted, tried, delivered, opened, clicked."""
    readers = [
        event
        for event in story.events
        if event.number == entry.number and event.kind in (Kind.OPEN, Kind.CLICK) and not event.data.get("machine")
    ]
    accepted = ("ok", "Accepted", moment(entry.created_at, now))
    tries = counted(entry.attempts, "try", "tries")
    done = _delivery(story, entry, now)
    match entry.state:
        case State.DELIVERED:
            return (accepted, ("ok", "Sent", tries), done, *_reading(story, readers, now))
        case State.BOUNCED | State.DROPPED:
            return (accepted, ("bad" if entry.attempts else "", "Tried", tries), done)
        case State.WAITING | State.HELD | State.ACTIVE:
            tried = ("wait" if entry.attempts else "", "Tried", tries if entry.attempts else "not yet")
            return (accepted, tried, done, ("", "Opened", "–"), ("", "Clicked", "–"))
        case _:
            assert_never(entry.state)


def _delivery(story: Story, entry: Entry, now: float) -> Station:
    match entry.state:
        case State.DELIVERED if late_bounce(story, entry.number):
            return ("bad", "Bounced", "after delivery")
        case State.DELIVERED:
            event = next((e for e in story.events if e.kind is Kind.DELIVERED and e.number == entry.number), None)
            return ("ok", "Delivered", f"in {duration(event.at - entry.created_at)}" if event else "")
        case State.BOUNCED:
            return ("bad", "Bounced", str(entry.last_reply.code) if entry.last_reply else "")
        case State.DROPPED:
            return ("bad", "Dropped", "")
        case State.HELD:
            return ("", "Delivered", "held")
        case State.ACTIVE:
            return ("", "Delivered", "being sent")
        case State.WAITING:
            due = max(entry.next_attempt_at, entry.release_at)
            return ("", "Delivered", f"next {minute(due, now)}" if due > now else "next now")
        case _:
            assert_never(entry.state)


def _reading(story: Story, readers: Sequence[Event], now: float) -> Sequence[Station]:
    if story.message.policy.tracking is None:
        return (("", "Opened", "not tracked"),)
    clicks = sum(event.kind is Kind.CLICK for event in readers)
    opened = ("ok", "Opened", minute(readers[0].at, now)) if readers else ("", "Opened", "not seen")
    return (opened, ("ok", "Clicked", f"{clicks}×") if clicks else ("", "Clicked", "–"))


def shown(event: Event, now: float) -> ShownEvent:
    """Return an event in words."""
    data = event.data
    match event.kind:
        case Kind.CREATED:
            return ShownEvent(event.at, "Accepted", _accepted(data), state="ok")
        case Kind.PROCESSED:
            return ShownEvent(event.at, f"First try by {_provider(data)}", is_quiet=True)
        case Kind.DELIVERED:
            text = _server(data)
            return ShownEvent(event.at, f"Delivered by {_provider(data)}", text, _text(data, "reply"), "ok")
        case Kind.DEFERRED:
            again = data.get("next_attempt_at")
            text = f"{_category(data)} Next try {minute(again, now)}." if isinstance(again, int | float) else ""
            return ShownEvent(event.at, f"Deferred by {_where(data)}", text, _text(data, "reply"), "wait")
        case Kind.BOUNCED:
            title = "Bounced after delivery" if data.get("late") else f"Bounced at {_where(data)}"
            return ShownEvent(event.at, title, _category(data) or _text(data, "reason"), _text(data, "reply"), "bad")
        case Kind.DROPPED:
            return ShownEvent(event.at, "Dropped", sentence(_text(data, "reason")), _text(data, "reply"), "bad")
        case Kind.HELD:
            return ShownEvent(event.at, "Held", sentence(_text(data, "reason")), state="wait")
        case Kind.OPEN | Kind.CLICK:
            return _read(event)
        case Kind.REPLY:
            word = "Automatic reply" if data.get("automatic") else "Replied"
            return ShownEvent(event.at, word, _text(data, "subject"), state="" if data.get("automatic") else "ok")
        case Kind.UNSUBSCRIBE:
            return ShownEvent(event.at, "Unsubscribed", _text(data, "source"), state="wait")
        case Kind.COMPLAINT:
            return ShownEvent(event.at, "Complained", _text(data, "remote"), _text(data, "reply"), "bad")
        case Kind.FEEDBACK:
            return ShownEvent(event.at, "Report of a mailbox provider", _text(data, "feedback_type"))
        case _:
            assert_never(event.kind)


ALIKE = 3
"""Events alike in a row that are shown; of more, the first and the last."""


def folded(events: Sequence[ShownEvent]) -> Sequence[ShownEvent]:
    """Return the events; those between the first and the last of many alike as one, with their number."""
    shown_events: list[ShownEvent] = []
    for _, group in groupby(events, key=lambda one: (one.title, one.code)):
        alike = list(group)
        if len(alike) > ALIKE:
            more = ShownEvent(alike[1].at, f"{len(alike) - 2} times more", state=alike[0].state, is_quiet=True)
            alike = [alike[0], more, alike[-1]]
        shown_events += alike
    return shown_events


def _read(event: Event) -> ShownEvent:
    """Return an open or click, by whom."""
    data = event.data
    word = "Opened" if event.kind is Kind.OPEN else "Clicked"
    target = _text(data, "target")
    if data.get("machine"):
        why = f"{_text(data, 'reason')}. Not counted.".lstrip(". ")
        return ShownEvent(event.at, f"{word} by a machine", sentence(why), target, "machine", is_quiet=True)
    if data.get("proxied"):
        return ShownEvent(
            event.at, f"{word} through a proxy", sentence(_text(data, "reason")), target, "ok", is_quiet=True
        )
    return ShownEvent(event.at, f"{word} by a person", _text(data, "user_agent"), target, "ok", is_quiet=True)


def _text(data: Mapping[str, object], key: str) -> str:
    return str(data.get(key) or "")


def _provider(data: Mapping[str, object]) -> str:
    return split_lane(_text(data, "lane"))[0] if data.get("lane") else "this relay"


def _where(data: Mapping[str, object]) -> str:
    return _text(data, "remote") or _provider(data)


def _server(data: Mapping[str, object]) -> str:
    tls = _text(data, "tls")
    return ", ".join(part for part in (_text(data, "remote"), tls) if part)


def _category(data: Mapping[str, object]) -> str:
    about = CATEGORIES.get(_text(data, "category"))
    return sentence(about.title) if about else ""


def _accepted(data: Mapping[str, object]) -> str:
    lane = _provider(data)
    way = f"Leaves by {lane}." if data.get("lane") else ""
    return f"{sentence(_text(data, 'way'))} {way}".strip()

"""JSON of messages, entries and events, for the admin API and the option `--json`.

Names are stable, and fields are only added. Times are RFC 3339 in UTC.
"""

from datetime import UTC, datetime

from relay.config.senders import Exclusions
from relay.events.event import Event
from relay.events.event_line import MAX_TIME
from relay.queue.entry import Entry
from relay.queue.message import Message
from relay.reports.ports import EventPage, EventPlace, Story
from relay.suppression.model import Suppression, Unproven
from relay.suppression.unsubscribes import Unsubscribe, excludes_from

JsonObject = dict[str, object]
"""A JSON object of the admin API."""


def time_json(at: float) -> str | None:
    """Return Unix seconds as RFC 3339, None for 0 and for what RFC 3339 cannot write.

    A store of an earlier version may hold such times. None of them makes a report fail.
    """
    if not 0 <= at <= MAX_TIME:  # True for NaN too.
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def message_json(message: Message) -> JsonObject:
    """Return a message without its recipients."""
    return {
        "queue_id": message.queue_id,
        "created_at": time_json(message.created_at),
        "reverse_path": message.reverse_path,
        "from": message.header_from,
        "subject": message.subject,
        "message_id": message.message_id,
        "size": message.size,
        "identity": message.policy.identity,
        "domain": message.policy.domain,
        "provider": message.policy.provider,
        "credential": message.credential,
        "client": message.client,
        "type": "campaign" if message.campaign else "transactional",
        "campaign": message.campaign,
        "tags": list(message.tags),
        "metadata": dict(message.metadata),
    }


def entry_json(entry: Entry) -> JsonObject:
    """Return the entry of one recipient."""
    return {
        "queue_id": entry.queue_id,
        "number": entry.number,
        "recipient": entry.recipient,
        "status": entry.status,
        "state": entry.state.value,
        "lane": entry.lane,
        "attempts": entry.attempts,
        "next_attempt_at": None if entry.is_final else time_json(entry.next_attempt_at),
        "release_at": time_json(entry.release_at),
        "expires_at": time_json(entry.expires_at),
        "reply": str(entry.last_reply) if entry.last_reply else "",
        "remote": entry.last_remote,
        "reason": entry.reason,
        "uncertain": entry.uncertain,
    }


def event_json(event: Event) -> JsonObject:
    """Return one event: the common fields and those of its kind on one level."""
    data = {key: _value_json(key, value) for key, value in event.data.items()}
    return {
        "at": time_json(event.at),
        "event": event.kind.value,
        "queue_id": event.queue_id,
        "recipient": event.address,
        **data,
    }


def story_json(story: Story, page: EventPage | None = None) -> JsonObject:
    """Return a message with its entries and events: those of the page, else those of the story.

    `next_events` is the place of the following page, null at the end.
    """
    return {
        **message_json(story.message),
        "recipients": [_recipient_json(story, entry) for entry in story.entries],
        "events": [event_json(event) for event in (page or story).events],
        "next_events": place_text(page.next) if page is not None and page.next else None,
    }


def place_text(place: EventPlace) -> str:
    """Return the place of an event as a parameter."""
    return f"{place[0]!r}/{place[1]}"


def _recipient_json(story: Story, entry: Entry) -> JsonObject:
    """Return one recipient. After a late bounce it has the status and reply of that, though its entry is delivered."""
    copy: JsonObject = {"copy": entry.number in story.message.policy.copies}
    late = late_bounce(story, entry.number)
    return entry_json(entry) | copy | (_late_json(late) if late else {})


def late_bounce(story: Story, number: int) -> Event | None:
    """Return the last proven bounce of a recipient that came after its delivery, None if there is none."""
    return story.late_bounces.get(number)


def _late_json(late: Event) -> JsonObject:
    return {"status": "bounced", "reply": late.data.get("reply", ""), "remote": late.data.get("remote", "")}


def listing_json(message: Message, entry: Entry) -> JsonObject:
    """Return one row of the queue listing."""
    return {
        **entry_json(entry),
        "reverse_path": message.reverse_path,
        "message_id": message.message_id,
        "identity": message.policy.identity,
        "domain": message.policy.domain,
        "size": message.size,
        "created_at": time_json(message.created_at),
    }


def suppression_json(one: Suppression, now: float) -> JsonObject:
    """Return one entry of the suppression list, with its state and the message that tests it."""
    return {
        "address": one.address,
        "domain": one.domain,
        "reason": one.reason,
        "rule": one.rule,
        "reply": one.reply,
        "queue_id": one.queue_id,
        "created_at": time_json(one.created_at),
        "expires_at": time_json(one.expires_at),
        "state": one.state(now),
        "probation": one.probation,
        "provenance": one.provenance,
        "proof": one.proof,
    }


def unproven_json(one: Unproven) -> JsonObject:
    """Return one piece of unproven evidence as JSON."""
    found = one.suppression
    return {
        "address": found.address,
        "domain": found.domain,
        "reason": found.reason,
        "rule": found.rule,
        "reply": found.reply,
        "queue_id": found.queue_id,
        "created_at": time_json(found.created_at),
        "provenance": found.provenance,
        "why": one.why,
        "times": one.times,
    }


def unsubscribe_json(one: Unsubscribe, exclusions: Exclusions) -> JsonObject:
    """Return one entry of the unsubscribe list, with what it excludes from."""
    return {
        "address": one.address,
        "domain": one.domain,
        "campaign": one.campaign,
        "source": one.source,
        "queue_id": one.queue_id,
        "created_at": time_json(one.created_at),
        "excludes_from": excludes_from(one, exclusions),
    }


def _value_json(key: str, value: object) -> object:
    return time_json(value) if key.endswith("_at") and isinstance(value, int | float) else value

"""JSON of messages, entries and events, for the admin API and the option `--json`.

Names are stable, and fields are only added. Times are RFC 3339 in UTC.
"""

from datetime import UTC, datetime

from relay.events.event import Event, Kind
from relay.queue.entry import Entry
from relay.queue.message import Message
from relay.reports.ports import Story
from relay.suppression.model import Suppression
from relay.suppression.unsubscribes import Unsubscribe

Form = dict[str, object]


def time_form(at: float) -> str | None:
    """Return Unix seconds as RFC 3339, None for 0."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def message_form(message: Message) -> Form:
    """Return a message without its recipients."""
    return {
        "queue_id": message.queue_id,
        "created_at": time_form(message.created_at),
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


def entry_form(entry: Entry) -> Form:
    """Return the entry of one recipient."""
    return {
        "queue_id": entry.queue_id,
        "number": entry.number,
        "recipient": entry.recipient,
        "status": entry.status,
        "state": entry.state.value,
        "lane": entry.lane,
        "attempts": entry.attempts,
        "next_attempt_at": None if entry.is_final else time_form(entry.next_attempt_at),
        "release_at": time_form(entry.release_at),
        "expires_at": time_form(entry.expires_at),
        "reply": str(entry.last_reply) if entry.last_reply else "",
        "remote": entry.last_remote,
        "reason": entry.reason,
        "uncertain": entry.uncertain,
    }


def event_form(event: Event) -> Form:
    """Return one event: the common fields and those of its kind on one level."""
    data = {key: _value_form(key, value) for key, value in event.data.items()}
    return {
        "at": time_form(event.at),
        "event": event.kind.value,
        "queue_id": event.queue_id,
        "recipient": event.address,
        **data,
    }


def story_form(story: Story) -> Form:
    """Return a message with its entries and events."""
    return {
        **message_form(story.message),
        "recipients": [_recipient_form(story, entry) for entry in story.entries],
        "events": [event_form(event) for event in story.events],
    }


def _recipient_form(story: Story, entry: Entry) -> Form:
    """Return one recipient. After a late bounce its status is bounced, though its entry is still delivered."""
    copy: Form = {"copy": entry.number in story.message.policy.copies}
    late = any(
        event.kind is Kind.BOUNCED and event.number == entry.number and event.data.get("late") for event in story.events
    )
    return entry_form(entry) | copy | ({"status": "bounced"} if late else {})


def listing_form(message: Message, entry: Entry) -> Form:
    """Return one row of the queue listing."""
    return {
        **entry_form(entry),
        "reverse_path": message.reverse_path,
        "message_id": message.message_id,
        "identity": message.policy.identity,
        "domain": message.policy.domain,
        "size": message.size,
        "created_at": time_form(message.created_at),
    }


def suppression_form(one: Suppression) -> Form:
    """Return one entry of the suppression list."""
    return {
        "address": one.address,
        "domain": one.domain,
        "reason": one.reason,
        "rule": one.rule,
        "reply": one.reply,
        "queue_id": one.queue_id,
        "created_at": time_form(one.created_at),
        "expires_at": time_form(one.expires_at),
    }


def unsubscribe_form(one: Unsubscribe) -> Form:
    """Return one entry of the unsubscribe list."""
    return {
        "address": one.address,
        "domain": one.domain,
        "campaign": one.campaign,
        "source": one.source,
        "queue_id": one.queue_id,
        "created_at": time_form(one.created_at),
    }


def _value_form(key: str, value: object) -> object:
    return time_form(value) if key.endswith("_at") and isinstance(value, int | float) else value

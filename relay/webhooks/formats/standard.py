"""The format `standard`: one event, in the form of Standard Webhooks."""

from collections.abc import Sequence

from relay.webhooks.bodies import EventBody
from relay.webhooks.build import Record
from relay.webhooks.formats.post import JSON_TYPE, Post, PostFormat, Sender


def _takes(_: Record) -> bool:
    return True


def _encode(records: Sequence[Record], sender: Sender, _now: float, _token: str) -> Post:
    (record,) = records
    return standard_post(record.body, sender)


def standard_post(body: EventBody, _: Sender) -> Post:
    """Return the post of one event, of a message or of the relay."""
    return Post(body.data.id, body.encode(), {"Content-Type": JSON_TYPE})


STANDARD = PostFormat(_takes, _encode)

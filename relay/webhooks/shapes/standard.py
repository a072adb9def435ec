"""The format `standard`: one event, in the form of Standard Webhooks."""

from collections.abc import Sequence

from relay.webhooks.build import Record
from relay.webhooks.shapes.post import JSON_TYPE, Post, Sender, Shape


def _takes(_: Record) -> bool:
    return True


def _encode(records: Sequence[Record], _sender: Sender, _now: float, _token: str) -> Post:
    (record,) = records
    return Post(record.id, record.body.encode(), {"Content-Type": JSON_TYPE})


STANDARD = Shape(_takes, _encode)

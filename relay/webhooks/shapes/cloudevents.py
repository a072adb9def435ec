"""The format `cloudevents`: CloudEvents 1.0 in structured mode, with the data of the format `standard`."""

import json
from collections.abc import Sequence

from relay.webhooks.bodies import EventBody, MessageEvent
from relay.webhooks.build import Record
from relay.webhooks.shapes.facts import encoded
from relay.webhooks.shapes.post import Post, Sender, Shape

_TYPE = "application/cloudevents+json; charset=utf-8"


def _takes(_: Record) -> bool:
    return True


def _encode(records: Sequence[Record], sender: Sender, _now: float, _token: str) -> Post:
    (record,) = records
    return cloudevents_post(record.body, sender)


def cloudevents_post(body: EventBody, sender: Sender) -> Post:
    """Return the post of one event, of a message or of the relay."""
    given, data = json.loads(body.encode()), body.data
    event = {
        "specversion": "1.0",
        "id": data.id,
        "source": f"/relay/{sender.hostname}",
        "type": given["type"],
        "time": given["timestamp"],
        "datacontenttype": "application/json",
        "data": given["data"],
    }
    if isinstance(data, MessageEvent) and data.recipient:
        event["subject"] = data.recipient
    return Post(data.id, encoded(event), {"Content-Type": _TYPE})


CLOUDEVENTS = Shape(_takes, _encode)

"""The format `cloudevents`: CloudEvents 1.0 in structured mode, with the data of the format `standard`."""

import json
from collections.abc import Sequence

from relay.webhooks.bodies import MessageEvent
from relay.webhooks.build import Record
from relay.webhooks.shapes.facts import encoded
from relay.webhooks.shapes.post import Post, Sender, Shape

_TYPE = "application/cloudevents+json; charset=utf-8"


def _takes(_: Record) -> bool:
    return True


def _encode(records: Sequence[Record], sender: Sender, _now: float, _token: str) -> Post:
    (record,) = records
    body = json.loads(record.body.encode())
    data = record.body.data
    event = {
        "specversion": "1.0",
        "id": record.id,
        "source": f"/relay/{sender.hostname}",
        "type": body["type"],
        "time": body["timestamp"],
        "datacontenttype": "application/json",
        "data": body["data"],
    }
    if isinstance(data, MessageEvent) and data.recipient:
        event["subject"] = data.recipient
    return Post(record.id, encoded(event), {"Content-Type": _TYPE})


CLOUDEVENTS = Shape(_takes, _encode)

"""The formats `cloudevents` and `cloudevents-binary`: CloudEvents 1.0 over HTTP, with the data of `standard`.

The structured mode has the attributes in the body, the binary mode in header fields (HTTP Protocol Binding 1.0,
sections 3.1 and 3.2).
"""

import json
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from relay.webhooks.bodies import EventBody, MessageEvent
from relay.webhooks.build import Record
from relay.webhooks.formats.post import JSON_TYPE, Post, PostFormat, Sender
from relay.webhooks.formats.record_fields import encoded

_TYPE = "application/cloudevents+json; charset=utf-8"

_PLAIN = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")
"""Characters of an attribute that a header field has as they are (HTTP Protocol Binding 1.0, section 3.1.3.2)."""


def _takes(_: Record) -> bool:
    return True


def _encode(records: Sequence[Record], sender: Sender, _now: float, _token: str) -> Post:
    (record,) = records
    return cloudevents_post(record.body, sender)


def _encode_binary(records: Sequence[Record], sender: Sender, _now: float, _token: str) -> Post:
    (record,) = records
    return cloudevents_binary_post(record.body, sender)


def cloudevents_post(body: EventBody, sender: Sender) -> Post:
    """Return the post of one event, of a message or of the relay, in structured mode."""
    given = json.loads(body.encode())
    event = {**_attributes(body, given, sender), "datacontenttype": JSON_TYPE, "data": given["data"]}
    return Post(body.data.id, encoded(event), {"Content-Type": _TYPE})


def cloudevents_binary_post(body: EventBody, sender: Sender) -> Post:
    """Return the post of one event, of a message or of the relay, in binary mode."""
    given = json.loads(body.encode())
    fields = {f"ce-{name}": quote(text, safe=_PLAIN) for name, text in _attributes(body, given, sender).items()}
    return Post(body.data.id, encoded(given["data"]), {"Content-Type": JSON_TYPE, **fields})


def _attributes(body: EventBody, given: Mapping[str, str], sender: Sender) -> dict[str, str]:
    """Return the context attributes but `datacontenttype`, which is the Content-Type in binary mode."""
    data = body.data
    found = {
        "specversion": "1.0",
        "id": data.id,
        "source": f"/relay/{sender.hostname}",
        "type": given["type"],
        "time": given["timestamp"],
    }
    return found | ({"subject": data.recipient} if isinstance(data, MessageEvent) and data.recipient else {})


CLOUDEVENTS = PostFormat(_takes, _encode)

CLOUDEVENTS_BINARY = PostFormat(_takes, _encode_binary)

"""An event as one line of JSON and back, for files that hold events."""

import json
from collections.abc import Mapping

from relay.events.event import Event, Kind


def encode_event(event: Event) -> bytes:
    """Return the event as one line of ASCII JSON with its newline."""
    fields: dict[str, object] = {
        "kind": event.kind,
        "at": event.at,
        "queue_id": event.queue_id,
        "recipient": event.recipient,
        "address": event.address,
        "data": dict(event.data),
    }
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def decode_event(line: bytes) -> Event:
    """Return the event of a line; raise ValueError when it is not the whole of one."""
    try:
        fields = json.loads(line)
    except RecursionError:
        raise ValueError("the line is nested too deeply for an event") from None
    match fields:
        case {
            "kind": str(kind),
            "at": int() | float() as at,
            "queue_id": str(queue_id),
            "recipient": int(recipient),
            "address": str(address),
            "data": Mapping() as data,
        }:
            return Event(Kind(kind), float(at), queue_id, recipient, address, data)
    raise ValueError("the line lacks a field of an event: kind, at, queue_id, recipient, address, data")

"""One event as a line of JSON: the format of spool files.

Lines come from other machines too. Every value is checked against what the stores hold and what reports can show, so
that no line can block those behind it.
"""

import json
import math
import re
from collections.abc import Mapping

from relay.events.event import READER_KINDS, Event, Kind
from relay.log.encoded_fields import EncodedFields, encode_text, encoded

MAX_TIME = 253_402_300_799.0
"""Unix seconds of the last moment with a year of four digits, which RFC 3339 can write."""

MAX_NUMBER = 2**31 - 1
"""Highest number of a recipient that both stores hold."""

_MAX_QUEUE_ID, _MAX_ADDRESS = 64, 512
"""Characters of a queue id, and of an address, at most."""

_QUEUE_ID = re.compile(f"[!-~]{{1,{_MAX_QUEUE_ID}}}")

_ADDRESS = re.compile(rf"[^\x00-\x1f\x7f\ud800-\udfff]{{0,{_MAX_ADDRESS}}}")
"""Neither controls (C0, DEL) nor halves of surrogate pairs."""

_MAX_LINE = 256 * 1024
"""Octets of a line, at most: stores and reports hold events in memory."""

_MAX_DEPTH = 16
"""Objects and lists inside each other, at most."""


def encode_event(event: Event) -> bytes:
    """Encode as one line of ASCII JSON, newline included."""
    if isinstance(event.data, EncodedFields):
        key = f'"kind":"{event.kind}","at":{event.at!r},"queue_id":{encode_text(event.queue_id)}'
        about = f'"recipient":{event.number},"address":{encode_text(event.address)}'
        return f'{{{key},{about},"data":{{{event.data.members}}}}}\n'.encode("ascii")
    fields: dict[str, object] = {
        "kind": event.kind,
        "at": event.at,
        "queue_id": event.queue_id,
        "recipient": event.number,
        "address": event.address,
        "data": dict(event.data),
    }
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def decode_event(line: bytes) -> Event:
    """Decode a line. Raises ValueError when it is incomplete or damaged, or a value is out of range."""
    if len(line) > _MAX_LINE:
        raise ValueError(f"the line has {len(line)} octets, more than the {_MAX_LINE} of an event")
    try:
        fields = json.loads(line)
    except RecursionError:
        raise ValueError("the line is nested too deeply for an event") from None
    match fields:
        case {
            "kind": str(kind),
            "at": int() | float() as at,
            "queue_id": str(queue_id),
            "recipient": int(number),
            "address": str(address),
            "data": dict() as data,
        }:
            _check(queue_id, number, address, data)
            return Event(_reader_kind(kind), _time("at", at), queue_id, number, address, encoded(data))
    raise ValueError("the line lacks a field of an event: kind, at, queue_id, recipient, address, data")


def _reader_kind(kind: str) -> Kind:
    known = Kind(kind)
    if known not in READER_KINDS:
        raise ValueError(f"kind: {kind} is no event of a reader, which are {', '.join(sorted(READER_KINDS))}")
    return known


def _check(queue_id: str, number: int, address: str, data: Mapping[str, object]) -> None:
    if not _QUEUE_ID.fullmatch(queue_id):
        raise ValueError(f"queue_id: must be 1 to {_MAX_QUEUE_ID} characters of visible ASCII")
    if isinstance(number, bool) or not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"recipient: must be a number from 0 to {MAX_NUMBER}")
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"address: must be at most {_MAX_ADDRESS} characters, without controls")
    _check_value("data", data, _MAX_DEPTH)


def _time(name: str, at: float) -> float:
    """Return Unix seconds that every report can show."""
    if isinstance(at, bool) or not 0 <= at <= MAX_TIME:  # False for NaN too.
        raise ValueError(f"{name}: must be Unix seconds before the year 10000, not {at}")
    return float(at)


def _check_value(name: str, value: object, depth: int) -> None:
    """Check a JSON value, and all values inside."""
    match value:
        case str():
            value.encode()  # Raises UnicodeEncodeError, a ValueError, for half of a surrogate pair.
        case None | bool():
            pass
        case int() | float():
            _check_number(name, value)
        case dict() | list() if not depth:
            raise ValueError(f"{name}: is nested too deeply")
        case dict():
            for key, one in value.items():
                key.encode()
                _check_value(key, one, depth - 1)
        case list():
            for one in value:
                _check_value(name, one, depth - 1)


def _check_number(name: str, value: float) -> None:
    """Check a number: a time by its name, else any number that other programs can read."""
    if name.endswith("_at"):
        _time(name, value)
    elif not math.isfinite(value) or abs(value) >= 2**63:
        raise ValueError(f"{name}: is not a number of at most 64 bits")

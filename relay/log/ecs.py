"""Log lines in the Elastic Common Schema (ECS 8)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from time import time
from typing import Any

from relay.compact_json import json_encoder
from relay.log.summary import summary_of, trace_of

VERSION = "8.17.0"
"""Version of the schema."""

_encode = json_encoder(default=str)

_OUTCOMES = {
    "message.delivered": "success",
    "message.bounced": "failure",
    "message.dropped": "failure",
    "message.deferred": "unknown",
    "smtp.refused": "failure",
    "smtp.auth_failed": "failure",
}
"""event.outcome of lines that have one."""

_ADDRESSES = {"reverse_path": "from", "recipient": "to"}
"""Fields with a mail address, and their place in `email`."""

_PLACES: Mapping[str, tuple[str, str]] = {
    "queue_id": ("email", "local_id"),
    "message_id": ("email", "message_id"),
    "subject": ("email", "subject"),
    "remote": ("destination", "address"),
    "client": ("client", "address"),
    "user_agent": ("user_agent", "original"),
    "target": ("url", "original"),
    "error": ("error", "message"),
}
"""Fields with a place of their own. All others are below `relay`."""


def as_ecs(name: str, level: str, fields: Mapping[str, Any]) -> str:
    """Return the line as a JSON object of the schema."""
    event: dict[str, Any] = {"action": name, "dataset": "relay.log", "module": "relay"}
    if outcome := _OUTCOMES.get(name):
        event["outcome"] = outcome
    line: dict[str, Any] = {
        "@timestamp": datetime.fromtimestamp(time(), UTC).isoformat(timespec="milliseconds"),
        "log.level": level,
        "ecs.version": VERSION,
        "message": summary_of(name, fields),
        "event": event,
    }
    rest: dict[str, Any] = {}
    for key, value in fields.items():
        if key in _ADDRESSES and value:
            line.setdefault("email", {})[_ADDRESSES[key]] = {"address": [value]}
        elif key in _PLACES and value not in ("", None):
            section, place = _PLACES[key]
            line.setdefault(section, {})[place] = value
        else:
            rest[key] = value
    delay = fields.get("delay")
    if isinstance(delay, int | float):
        event["duration"] = round(delay * 1e9)
    if ids := trace_of(fields):
        line |= {"trace": {"id": ids.trace}, "span": {"id": ids.parent}}
    return _encode(line | ({"relay": rest} if rest else {}))

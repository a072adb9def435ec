"""Forms of a log line: JSON, text for a console, and that of Postfix for its tools."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import Any

from relay.compact_json import json_encoder
from relay.log.ecs import as_ecs
from relay.log.encoded_fields import EncodedLine

Fields = Mapping[str, Any]

Form = Callable[[str, str, Fields], str]
"""Returns a line by its name, level and fields."""

_encode = json_encoder(default=str)


def as_json(name: str, level: str, fields: Fields) -> str:
    """Return the line as a JSON object."""
    moment = _moment(int(time() * 1000))
    if type(fields) is EncodedLine:
        return f'{{"timestamp":"{moment}","event":"{name}","level":"{level}",{fields.members}}}'
    return _encode({"timestamp": moment, "event": name, "level": level, **fields})


@lru_cache(maxsize=2)
def _moment(millisecond: int) -> str:
    return datetime.fromtimestamp(millisecond / 1000, UTC).isoformat(timespec="milliseconds")


def as_console(name: str, level: str, fields: Fields) -> str:
    """Return the line as text for a terminal."""
    text = " ".join(f"{key}={_safe(value)}" for key, value in fields.items() if value not in ("", None))
    return f"{_local_time():%H:%M:%S} {level:<7} {name:<18} {text}"


_POSTFIX_STATUS = {"message.delivered": "sent", "message.deferred": "deferred", "message.bounced": "bounced"}


def as_postfix(name: str, _: str, fields: Fields) -> str:
    """Return the line in the form of Postfix, so that tools for its log can read it."""
    queue_id = fields.get("queue_id", "")
    prefix = f"{_local_time():%b %e %H:%M:%S} {os.uname().nodename} relay"

    if name == "message.created":
        return (
            f"{prefix}/smtpd[{os.getpid()}]: {queue_id}: client=unknown[{fields.get('client', '')}]\n"
            f"{prefix}/cleanup[{os.getpid()}]: {queue_id}: message-id={_safe(fields.get('message_id', ''))}\n"
            f"{prefix}/qmgr[{os.getpid()}]: {queue_id}: from=<{_safe(fields.get('reverse_path', ''))}>, "
            f"size={fields.get('size', 0)}, nrcpt=1 (queue active)"
        )
    if name in _POSTFIX_STATUS:
        return (
            f"{prefix}/smtp[{os.getpid()}]: {queue_id}: to=<{_safe(fields.get('recipient', ''))}>, "
            f"relay={fields.get('remote') or 'none'}, delay={fields.get('delay', 0):.2g}, delays=0/0/0/0, "
            f"dsn={fields.get('status') or _POSTFIX_DSN[name]}, status={_POSTFIX_STATUS[name]} "
            f"({_safe(fields.get('reply', ''))})"
        )
    text = ", ".join(f"{key}={_safe(value)}" for key, value in fields.items() if key != "queue_id")
    return f"{prefix}/server[{os.getpid()}]: {queue_id + ': ' if queue_id else ''}{name} {text}"


_POSTFIX_DSN = {"message.delivered": "2.0.0", "message.deferred": "4.0.0", "message.bounced": "5.0.0"}


def _safe(value: object) -> str:
    """Return the value with control characters escaped, so that received text cannot forge log lines."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(value))


def _local_time() -> datetime:
    return datetime.now(UTC).astimezone()


FORMS: Mapping[str, Form] = {"json": as_json, "console": as_console, "postfix": as_postfix, "ecs": as_ecs}
"""The forms by their name in the settings (`Log.form`)."""

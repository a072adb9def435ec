"""What several formats read from a record."""

import json
from typing import Literal

from relay.webhooks.bodies import Attempted
from relay.webhooks.build import Record

DropCause = Literal["bounce", "complaint", "unsubscribe", "spam", "other"]


def drop_cause(record: Record) -> DropCause:
    """Return why a message was dropped, by the reason of its entry."""
    reason = str(record.event.data.get("reason", ""))
    if reason.startswith("unsubscribed"):
        return "unsubscribe"
    if reason.startswith("suppressed"):
        return "complaint" if ": complaint" in reason else "bounce"
    if reason.startswith("the provider has suppressed"):
        return "bounce"
    return "spam" if record.event.data.get("category") == "spam_content" else "other"


def attempted(record: Record) -> Attempted:
    """Return the body of an event that ends an attempt."""
    assert isinstance(record.body.data, Attempted)
    return record.body.data


def reply_text(record: Record) -> str:
    """Return the reply as the server gave it, else the reason of the relay."""
    reply = attempted(record).reply
    code = str(reply.code) if reply.code else ""
    text = " ".join(part for part in (code, reply.status if reply.code else "", reply.text) if part)
    return text or str(record.event.data.get("reason", ""))


def mx_host(record: Record) -> tuple[str, str]:
    """Return host name and address of the server that replied, of "mx.reader.test[192.0.2.1]:25"."""
    name, _, rest = attempted(record).remote.partition("[")
    return name, rest.partition("]")[0]


def used_tls(record: Record) -> bool | None:
    """Return whether the delivery was encrypted, None where that is not recorded."""
    tls = record.event.data.get("tls")
    return None if tls is None else bool(tls)


def tag_of(record: Record) -> str:
    """Return the first tag, "" for none."""
    return next(iter(record.data.tags), "")


def encoded(value: object) -> bytes:
    """Return a value as compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

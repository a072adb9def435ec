"""The format of Mailgun's webhooks: one event with a signature beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from relay.events.event import Kind
from relay.mail.canonical_address import domain_of
from relay.webhooks.bodies import Clicked, Engaged
from relay.webhooks.build import Record, category_of
from relay.webhooks.formats.post import JSON_TYPE, Post, PostFormat, Sender
from relay.webhooks.formats.record_fields import DropCause, attempted, drop_cause, encoded, mx_host, used_tls
from relay.webhooks.signing import mailgun_signature

_EVENTS: Mapping[Kind, str] = {
    Kind.PROCESSED: "accepted",
    Kind.DELIVERED: "delivered",
    Kind.DEFERRED: "failed",
    Kind.BOUNCED: "failed",
    Kind.DROPPED: "failed",
    Kind.OPEN: "opened",
    Kind.CLICK: "clicked",
    Kind.UNSUBSCRIBE: "unsubscribed",
    Kind.COMPLAINT: "complained",
}

_LEVELS: Mapping[Kind, str] = {Kind.DEFERRED: "warn", Kind.BOUNCED: "error", Kind.DROPPED: "error"}

_DROPPED: Mapping[DropCause, tuple[str, int, str]] = {
    "bounce": ("suppress-bounce", 605, "Not delivering to previously bounced address"),
    "complaint": ("suppress-complaint", 607, "Not delivering to a user who marked your messages as spam"),
    "unsubscribe": ("suppress-unsubscribe", 606, "Not delivering to unsubscribed address"),
    "spam": ("generic", 600, "Spam content"),
    "other": ("generic", 600, "Cancelled"),
}
"""Reason, code and description of dropped mail."""

TEST_MODE = 650
"""Code of a delivery in the test mode (documentation.mailgun.com, "Passing Sending Options")."""

_UNKNOWN = {"city": "Unknown", "country": "Unknown", "region": "Unknown"}


def _takes(record: Record) -> bool:
    return record.event.kind in _EVENTS


def _encode(records: Sequence[Record], sender: Sender, now: float, token: str) -> Post:
    (record,) = records
    signature = mailgun_signature(sender.secret, now, token)
    body = encoded({"signature": signature, "event-data": event_data(record)})
    return Post(record.id, body, {"Content-Type": JSON_TYPE})


def event_data(record: Record) -> dict[str, Any]:
    """Return the event as Mailgun's webhooks and its events API have it."""
    data, event, message = record.data, record.event, record.message
    headers = {"message-id": data.message_id.strip("<>"), "from": data.from_, "to": data.recipient}
    return {
        "id": record.id,
        "event": _EVENTS[event.kind],
        "timestamp": event.at,
        "log-level": _LEVELS.get(event.kind, "info"),
        "recipient": data.recipient,
        "recipient-domain": domain_of(data.recipient),
        "message": {
            "headers": headers | ({"subject": data.subject} if data.subject is not None else {}),
            "attachments": [],
            "size": message.size,
        },
        "tags": list(data.tags),
        "user-variables": data.metadata,
        "campaigns": [],
        "flags": {
            "is-authenticated": True,
            "is-routed": False,
            "is-system-test": False,
            "is-test-mode": bool(data.test) or message.policy.sandbox,
        },
        **_specific(record),
    }


def _specific(record: Record) -> dict[str, Any]:
    body = record.body.data
    match record.event.kind:
        case Kind.PROCESSED:
            return {"method": "SMTP", "envelope": _envelope(record)}
        case Kind.DELIVERED:
            status = _status(record) | ({"code": TEST_MODE} if record.message.policy.sandbox else {})
            return {"envelope": _envelope(record), "delivery-status": status}
        case Kind.DEFERRED:
            status = {**_status(record), "retry-seconds": _retry_seconds(record)}
            about = {"severity": "temporary", "reason": "generic"}
            return {**about, "envelope": _envelope(record), "delivery-status": status}
        case Kind.BOUNCED:
            expired = category_of(record.event.data).name == "expired" or bool(record.event.data.get("reason"))
            status = _status(record) | ({"description": "Too old"} if expired else {})
            about = {"severity": "permanent", "reason": "old" if expired else "bounce"}
            return {**about, "envelope": _envelope(record), "delivery-status": status}
        case Kind.DROPPED:
            reason, code, text = _DROPPED[drop_cause(record)]
            status = {"attempt-no": 1, "code": code, "message": "", "description": text, "session-seconds": 0.0}
            return {"severity": "permanent", "reason": reason, "delivery-status": status}
        case Kind.OPEN | Kind.CLICK:
            assert isinstance(body, Engaged)
            url = {"url": body.url} if isinstance(body, Clicked) else {}
            return {"ip": body.client, **url, "client-info": _client(body), "geolocation": _UNKNOWN}
        case Kind.UNSUBSCRIBE:
            agent = str(record.event.data.get("user_agent", ""))
            return {"ip": str(record.event.data.get("client", "")), "client-info": {"user-agent": agent}}
    return {}


def _envelope(record: Record) -> dict[str, str]:
    return {"sender": record.message.reverse_path, "targets": record.data.recipient, "transport": "smtp"}


def _status(record: Record) -> dict[str, Any]:
    body = attempted(record)
    name, address = mx_host(record)
    tls = used_tls(record)
    text = f"{body.reply.status} {body.reply.text}".strip() if body.reply.code >= 400 else body.reply.text
    return {
        "code": body.reply.code,
        "message": text,
        "description": "",
        "enhanced-code": body.reply.status,
        "mx-host": name or address,
        "attempt-no": body.attempt or 1,
    } | ({} if tls is None else {"tls": tls})


def _retry_seconds(record: Record) -> int:
    at = record.event.data.get("next_attempt_at")
    return max(int(at - record.event.at), 0) if isinstance(at, int | float) else 0


def _client(body: Engaged) -> dict[str, str]:
    bot = "" if body.machine is None else _bot(body)
    unknown = dict.fromkeys(("client-name", "client-os", "client-type", "device-type"), "unknown")
    return {**unknown, "user-agent": body.user_agent, "bot": bot}


def _bot(body: Engaged) -> str:
    """Return Mailgun's word for what fetched a pixel or a link, by the reason of the relay."""
    reasons = " ".join(body.machine.reasons if body.machine else ()).lower()
    return next((word for word in ("apple", "gmail") if word in reasons), "generic")


MAILGUN = PostFormat(_takes, _encode)

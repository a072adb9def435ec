"""The format of SendGrid's event webhook: a list of flat objects, signed by ECDSA.

Fields of the vendor win over metadata of the same name, as there. Left out is what this relay has no value for.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from relay.events.event import Kind
from relay.webhooks.bodies import Bounced, Clicked, Engaged
from relay.webhooks.build import Record, category_of
from relay.webhooks.formats.post import JSON_TYPE, Post, PostFormat, Sender
from relay.webhooks.formats.record_fields import (
    DropCause,
    attempted,
    drop_cause,
    encoded,
    mx_host,
    reply_text,
    used_tls,
)
from relay.webhooks.signing import sendgrid_headers, sendgrid_key

_EVENTS: Mapping[Kind, str] = {
    Kind.PROCESSED: "processed",
    Kind.DELIVERED: "delivered",
    Kind.DEFERRED: "deferred",
    Kind.BOUNCED: "bounce",
    Kind.DROPPED: "dropped",
    Kind.OPEN: "open",
    Kind.CLICK: "click",
    Kind.COMPLAINT: "spamreport",
    Kind.UNSUBSCRIBE: "unsubscribe",
}

_DROPPED: Mapping[DropCause, str] = {
    "bounce": "Bounced Address",
    "complaint": "Spam Reporting Address",
    "unsubscribe": "Unsubscribed Address",
    "spam": "Spam Content",
    "other": "Invalid",
}

_CLASSES: Mapping[str, str] = {
    "bad_mailbox": "Invalid Address",
    "bad_domain": "Invalid Address",
    "mailbox_disabled": "Invalid Address",
    "recipient_refused": "Invalid Address",
    "mailbox_full": "Mailbox Unavailable",
    "content_rejected": "Content",
    "too_large": "Content",
    "virus": "Content",
    "spam_content": "Content",
    "policy": "Reputation",
    "blocked": "Reputation",
    "auth_failed": "Reputation",
    "bad_rdns": "Reputation",
    "rate_limited": "Frequency/Volume",
    "greylisted": "Frequency/Volume",
    "network": "Technical",
    "dns_failure": "Technical",
    "server_error": "Technical",
    "protocol": "Technical",
    "tls": "Technical",
    "expired": "Technical",
}
"""`bounce_classification` by bounce category; "Unclassified" for others."""


def _takes(record: Record) -> bool:
    return record.event.kind in _EVENTS


def _encode(records: Sequence[Record], sender: Sender, now: float, _token: str) -> Post:
    body = encoded([_event(record) for record in records])
    headers = {"Content-Type": JSON_TYPE, **sendgrid_headers(sendgrid_key(sender.keys[0]), now, body)}
    return Post(records[0].id, body, headers)


def _event(record: Record) -> dict[str, Any]:
    data, event = record.data, record.event
    own: dict[str, Any] = {
        "email": data.recipient,
        "timestamp": int(event.at),
        "smtp-id": data.message_id,
        "event": _EVENTS[event.kind],
        "sg_event_id": record.id,
        "sg_message_id": f"{event.queue_id}.{event.number}",
    }
    if data.tags:
        is_list = record.message.policy.tags_were_a_list or len(data.tags) > 1
        own["category"] = list(data.tags) if is_list else data.tags[0]
    return {**data.metadata, **own, **_specific(record)}


def _specific(record: Record) -> dict[str, Any]:
    kind, body = record.event.kind, record.body.data
    match kind:
        case Kind.DELIVERED:
            return {"response": reply_text(record), **_server(record)}
        case Kind.DEFERRED:
            return {"response": reply_text(record), "attempt": str(attempted(record).attempt or 0)}
        case Kind.BOUNCED:
            return _bounce(record)
        case Kind.DROPPED:
            return {"reason": _DROPPED[drop_cause(record)], "status": "5.0.0"}
        case Kind.OPEN | Kind.CLICK:
            assert isinstance(body, Engaged)
            found: dict[str, Any] = {"ip": body.client, "useragent": body.user_agent, "sg_content_type": "html"}
            if isinstance(body, Clicked):
                return {**found, "url": body.url, "url_offset": {"index": 0, "type": "html"}}
            return {**found, "sg_machine_open": body.machine is not None}
    return {}


def _bounce(record: Record) -> dict[str, Any]:
    body = record.body.data
    assert isinstance(body, Bounced)
    status = {"status": body.reply.status} if body.reply.status else {}
    return {
        "reason": reply_text(record),
        **status,
        "type": "bounce" if body.bounce.class_ == "hard" else "blocked",
        "bounce_classification": _CLASSES.get(category_of(record.event.data).name, "Unclassified"),
        **_server(record),
    }


def _server(record: Record) -> dict[str, Any]:
    """Return address and TLS of the server, as far as they are known."""
    address, tls = mx_host(record)[1], used_tls(record)
    return ({"ip": address} if address else {}) | ({} if tls is None else {"tls": int(tls)})


SENDGRID = PostFormat(_takes, _encode)

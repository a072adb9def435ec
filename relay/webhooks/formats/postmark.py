"""The format of Postmark's webhooks: one record a post, with HTTP Basic and no signature of the vendor's."""

import uuid
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from relay.events.event import Kind
from relay.webhooks.bodies import Bounced, Clicked, Engaged
from relay.webhooks.build import Record, category_of, rfc3339
from relay.webhooks.formats.post import JSON_TYPE, Post, PostFormat, Sender
from relay.webhooks.formats.record_fields import encoded, reply_text, tag_of

_CODES: Mapping[str, int] = {
    "HardBounce": 1,
    "Transient": 2,
    "AutoResponder": 64,
    "DnsError": 256,
    "SpamNotification": 512,
    "Unknown": 2048,
    "SoftBounce": 4096,
    "VirusNotification": 8192,
    "BadEmailAddress": 100000,
    "SpamComplaint": 100001,
    "Blocked": 100006,
    "DMARCPolicy": 100009,
}
"""`TypeCode` by `Type` (BounceTypeCode of the vendor's package for npm)."""

_TYPES: Mapping[str, str] = {
    "bad_mailbox": "HardBounce",
    "bad_domain": "HardBounce",
    "mailbox_disabled": "HardBounce",
    "mailbox_full": "SoftBounce",
    "spam_content": "SpamNotification",
    "virus": "VirusNotification",
    "auth_failed": "DMARCPolicy",
    "policy": "Blocked",
    "blocked": "Blocked",
    "recipient_refused": "Blocked",
    "bad_rdns": "Blocked",
    "greylisted": "Transient",
    "rate_limited": "Transient",
    "network": "Transient",
    "dns_failure": "DnsError",
    "server_error": "Transient",
    "expired": "SoftBounce",
}
"""`Type` by bounce category; "Unknown" for others."""

_WORDS: Mapping[str, tuple[str, str]] = {
    "HardBounce": ("Hard bounce", "The server was unable to deliver the message: the mailbox does not exist."),
    "Transient": ("Message delayed", "The server could not deliver the message yet; it is tried again."),
    "AutoResponder": ("Auto responder", "An automatic answer, such as a vacation note."),
    "DnsError": ("DNS error", "The domain of the recipient could not be looked up."),
    "SpamNotification": ("Spam notification", "The message was taken for spam."),
    "Unknown": ("Unknown", "The reason of the failure is not known."),
    "SoftBounce": ("Soft bounce", "The message was refused temporarily, and was given up."),
    "VirusNotification": ("Virus notification", "The message was refused because of malware."),
    "SpamComplaint": ("Spam complaint", "The recipient marked the message as spam."),
    "Blocked": ("ISP block", "The message was refused by policy."),
    "DMARCPolicy": ("DMARC policy", "The message failed the authentication of its sender."),
}

_NUMBER_BITS = 52
"""Bits of `ID`: receivers in JavaScript read it as a floating-point number."""


def _takes(record: Record) -> bool:
    match record.event.kind:
        case Kind.DELIVERED | Kind.BOUNCED | Kind.OPEN | Kind.CLICK | Kind.COMPLAINT | Kind.UNSUBSCRIBE:
            return True
        case Kind.DEFERRED:
            return record.event.data.get("attempt") == 1
        case Kind.REPLY:
            return bool(record.event.data.get("automatic"))
    return False


def _encode(records: Sequence[Record], _sender: Sender, _now: float, _token: str) -> Post:
    (record,) = records
    headers = {"Content-Type": JSON_TYPE, "X-Relay-Queue-Id": record.event.queue_id}
    return Post(record.id, encoded(_record(record)), headers)


def _record(record: Record) -> dict[str, Any]:
    data, at = record.data, rfc3339(record.event.at)
    common = {
        "ServerID": 1,
        "MessageStream": "broadcast" if data.campaign else "outbound",
        "MessageID": message_uuid(record.event.queue_id),
        "Tag": tag_of(record),
        "Metadata": data.metadata,
    }
    match record.event.kind:
        case Kind.DELIVERED:
            about = {"Recipient": data.recipient, "DeliveredAt": at, "Details": f"smtp;{reply_text(record)}"}
            return {"RecordType": "Delivery", **common, **about}
        case Kind.BOUNCED | Kind.DEFERRED | Kind.REPLY:
            body = record.body.data
            inactive = isinstance(body, Bounced) and body.bounce.suppressed
            return {"RecordType": "Bounce", **common, **_bounce(record, _bounce_type(record), inactive)}
        case Kind.COMPLAINT:
            return {"RecordType": "SpamComplaint", **common, **_bounce(record, "SpamComplaint", inactive=True)}
        case Kind.UNSUBSCRIBE:
            change = {"Origin": "Recipient", "SuppressSending": True, "SuppressionReason": "ManualSuppression"}
            about = {"Recipient": data.recipient, "ChangedAt": at}
            return {"RecordType": "SubscriptionChange", **common, **about, **change}
    return {**common, **_engagement(record, at)}


def _bounce_type(record: Record) -> str:
    """Return the vendor's type of a bounce."""
    match record.event.kind:
        case Kind.DEFERRED:
            return "Transient"
        case Kind.REPLY:
            return "AutoResponder"
    return _TYPES.get(category_of(record.event.data).name, "Unknown")


def _type_of(record: Record) -> str:
    """Return the type of a record, with that of a bounce: some receivers refuse some of those."""
    if record.event.kind in (Kind.BOUNCED, Kind.DEFERRED, Kind.REPLY):
        return f"{record.type} as {_bounce_type(record)}"
    return record.type


def _bounce(record: Record, kind: str, inactive: bool = False) -> dict[str, Any]:
    data = record.data
    name, text = _WORDS[kind]
    details = f"smtp;{reply_text(record)}" if record.event.kind in (Kind.BOUNCED, Kind.DEFERRED) else ""
    return {
        "ID": _number(record.id),
        "Type": kind,
        "TypeCode": _CODES[kind],
        "Name": name,
        "Description": text,
        "Details": details,
        "Email": data.recipient,
        "From": data.from_,
        "BouncedAt": rfc3339(record.event.at),
        "DumpAvailable": False,
        "Inactive": inactive,
        "CanActivate": kind != "SpamComplaint",
        "Subject": data.subject or "",
        "Content": "",
    }


def _engagement(record: Record, at: str) -> dict[str, Any]:
    body = record.body.data
    assert isinstance(body, Engaged)
    about: dict[str, Any] = {
        "Recipient": body.recipient,
        "ReceivedAt": at,
        "Platform": "Unknown",
        "UserAgent": body.user_agent,
        "Client": {},
        "OS": {},
        "Geo": {"IP": body.client},
    }
    if isinstance(body, Clicked):
        return {"RecordType": "Click", **about, "OriginalLink": body.url, "ClickLocation": "HTML"}
    return {"RecordType": "Open", **about, "FirstOpen": False, "ReadSeconds": 0}


def message_uuid(queue_id: str) -> str:
    """Return the UUID of a message: version 8 (RFC 9562 section 5.8), made of its queue id."""
    octets = bytearray(blake2b(queue_id.encode(), digest_size=16).digest())
    octets[6] = octets[6] & 0x0F | 0x80
    octets[8] = octets[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(octets)))


def _number(event_id: str) -> int:
    digest = blake2b(event_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _NUMBER_BITS)


POSTMARK = PostFormat(_takes, _encode, _type_of)

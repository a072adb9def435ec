"""Conversion between values and columns with JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from relay.compact_json import json_encoder
from relay.log.encoded_fields import EncodedFields
from relay.mail.reply import Reply
from relay.render.message_policy import MessagePolicy, tuple_of
from relay.rewrite.options import ListUnsubscribe, Tracking

_encode = json_encoder()

_ASKED = (
    *("pixel_text", "unsubscribe_text", "dialects", "is_signed", "needs_tls", "ignores_lists", "tags_were_a_list"),
    *("sandbox", "would_leave_by", "simulated", "original_to"),
)
"""Fields of a policy that few messages set."""

_PLAIN_MAIL = MessagePolicy()

_ENCODED_FIELDS = tuple(field.name for field in fields(MessagePolicy) if field.name != "added_fields")

_ENCODED_VALUES = attrgetter(*_ENCODED_FIELDS)

_TRACKING_FIELDS = tuple(field.name for field in fields(Tracking))


def encode_object(value: Mapping[str, object]) -> str:
    """Encode a mapping of JSON values, "" when it is empty."""
    if isinstance(value, EncodedFields):
        return f"{{{value.members}}}" if value else ""
    return _encode(dict(value)) if value else ""


def decode_object(text: str) -> dict[str, object]:
    """The inverse of `encode_object`."""
    value: dict[str, object] = json.loads(text) if text else {}
    return value


def decode_strings(text: str) -> dict[str, str]:
    """The inverse of `encode_object` for an object that holds strings only."""
    value: dict[str, str] = json.loads(text) if text else {}
    return value


def encode_list(value: Sequence[str]) -> str:
    """Encode a list of strings, "" when it is empty."""
    return _encode(list(value)) if value else ""


def decode_list(text: str) -> tuple[str, ...]:
    """The inverse of `encode_list`."""
    return tuple(json.loads(text)) if text else ()


def encode_reply(reply: Reply | None) -> str | None:
    """Encode a reply as `[code, status, text]`."""
    return None if reply is None else _encode([reply.code, reply.status, reply.text])


def decode_reply(text: str | None) -> Reply | None:
    """The inverse of `encode_reply`."""
    return None if text is None else Reply(*json.loads(text))


def encode_policy(policy: MessagePolicy) -> str:
    """Encode a policy as a JSON object, without `added_fields`, which differ in every message."""
    return _encoded_policy(_ENCODED_VALUES(policy))


@lru_cache(maxsize=1024)
def _encoded_policy(values: tuple[Any, ...]) -> str:
    policy = MessagePolicy(**dict(zip(_ENCODED_FIELDS, values, strict=True)))
    value: dict[str, object] = {
        "domain": policy.domain,
        "identity": policy.identity,
        "return_path": policy.return_path,
        "provider": policy.provider,
        "fallback_providers": policy.fallback_providers,
    }

    if policy.send_at is not None:
        value["send_at"] = policy.send_at
    if policy.bounce_address:
        value["bounce_address"] = policy.bounce_address
    if policy.author_name:
        value["author_name"] = policy.author_name
    if policy.reply_domain:
        value |= {"reply_domain": policy.reply_domain, "reply_to": policy.reply_to}
    if policy.copies:
        value["copies"] = policy.copies
    if policy.forward_domain:
        value["forward_domain"] = policy.forward_domain
    if policy.unproven_sender:
        value["unproven_sender"] = True
    if (offered := policy.list_unsubscribe) is not None:
        value["list_unsubscribe"] = [offered.base_url, offered.reply_domain]
    if policy.unsubscribe_url:
        value["unsubscribe_url"] = policy.unsubscribe_url
    value |= _asked(policy)
    if policy.tracking is not None:
        value["tracking"] = {name: getattr(policy.tracking, name) for name in _TRACKING_FIELDS}

    return _encode(value)


def decode_policy(text: str) -> MessagePolicy:
    """The inverse of `encode_policy`. Options of a newer version are ignored, missing ones get their default.

    Earlier versions did not record `send_at`. Raises ValueError if `sandbox` cannot be read: such mail must not leave.
    """
    return MessagePolicy(**_decoded_policy(text))


@lru_cache(maxsize=1024)
def _decoded_policy(text: str) -> Mapping[str, Any]:
    value = json.loads(text)
    if value.get("sandbox", True) is not True:
        raise ValueError(f"sandbox of a message is {value['sandbox']!r}, neither true nor absent")
    tracking, offered = value.get("tracking"), value.get("list_unsubscribe")
    return dict(
        domain=value["domain"],
        identity=value["identity"],
        tracking=None if tracking is None else _tracking(tracking),
        return_path=value["return_path"],
        bounce_address=value.get("bounce_address", ""),
        provider=value["provider"],
        fallback_providers=tuple(value["fallback_providers"]),
        author_name=value.get("author_name", ""),
        reply_domain=value.get("reply_domain", ""),
        reply_to=tuple(value.get("reply_to", ())),
        copies=tuple(value.get("copies", ())),
        forward_domain=value.get("forward_domain", ""),
        unproven_sender=value.get("unproven_sender", False),
        list_unsubscribe=None if offered is None else ListUnsubscribe(*offered),
        unsubscribe_url=value.get("unsubscribe_url", ""),
        send_at=value.get("send_at"),
        **{name: tuple_of(value[name]) for name in _ASKED if name in value},
    )


def _asked(policy: MessagePolicy) -> dict[str, object]:
    """Return what header fields of mail services asked for, where it differs from the default."""
    return {name: given for name in _ASKED if (given := getattr(policy, name)) != getattr(_PLAIN_MAIL, name)}


def split_policy(policy: MessagePolicy) -> tuple[str, bytes]:
    """Return the two columns of a policy: its JSON and its `added_fields`."""
    return encode_policy(policy), policy.added_fields


def join_policy(text: str, added_fields: bytes) -> MessagePolicy:
    """The inverse of `split_policy`."""
    return MessagePolicy(added_fields=added_fields, **_decoded_policy(text))


def _tracking(value: Mapping[str, object]) -> Tracking:
    known = {name: tuple_of(kept) for name, kept in value.items()}
    return Tracking(**{name: known[name] for name in _TRACKING_FIELDS if name in known})

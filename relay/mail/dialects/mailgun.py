"""The header fields of Mailgun (documentation.mailgun.com, "Passing Sending Options")."""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

from relay.mail.dialects.field_values import (
    DialectContext,
    Reader,
    VendorField,
    json_object,
    metadata_object,
    not_done,
    pool,
    refuse_template,
    switch,
    tag,
    template,
)
from relay.mail.instructions import Ignored, Option, Statement

_FLAG = {"yes": True, "no": False, "true": True, "false": False}

_YES_OR_NO = "one of yes, no, true, false"

_LINKS = {"yes": "all", "true": "all", "htmlonly": "html", "no": "off", "false": "off"}

_PLACES = {"yes": "start", "true": "start", "htmlonly": "start", "no": "end", "false": "end"}

_WITHIN = re.compile(r"(?=[0-9])(?:([0-9]{1,2})h)?(?:([0-9]{1,4})m)?")

_MIN_SPAN, _MAX_SPAN = 5 * 60, 24 * 60 * 60
"""Seconds that Deliver-Within may have."""

_VARIABLE = b"%recipient."


def read_tracking(found: Sequence[VendorField], context: DialectContext) -> Iterator[Statement]:
    """Yield the tracking switches: those for clicks and for opens come before the one for both."""
    narrow = {"x-mailgun-track-clicks": _track_clicks, "x-mailgun-track-opens": _track_opens}
    stated: set[str] = set()
    for one in found:
        if one.key in narrow:
            for said in narrow[one.key](one, context):
                stated |= {said.content.name} if isinstance(said.content, Option) else set()
                yield said

    for one in found:
        if one.key != "x-mailgun-track":
            continue
        for said in (*_track_opens(one, context), *_track_clicks(one, context)):
            if not isinstance(said.content, Option) or said.content.name not in stated:
                yield said


def read_times(found: Sequence[VendorField], context: DialectContext) -> Iterator[Statement]:
    """Yield the time of delivery, and the expiry, which counts from it."""
    start = context.now
    for one in found:
        if one.key == "x-mailgun-deliver-by":
            at = _date(one.text)
            yield one.says(Ignored("not a date") if at is None else Option("send_at", at))
            start = start if at is None else max(start, at)

    for one in found:
        if one.key == "x-mailgun-deliver-within":
            span = _span(one.text)
            yield one.says(Ignored("5m to 24h") if span is None else Option("expires_at", start + span))


def _date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _span(text: str) -> int | None:
    found = _WITHIN.fullmatch(text)
    span = int(found[1] or 0) * 3600 + int(found[2] or 0) * 60 if found else 0
    return span if _MIN_SPAN <= span <= _MAX_SPAN else None


def _sandbox(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    value = _FLAG.get(one.text.lower())
    if value is None:
        yield one.says(Ignored(f"not {_YES_OR_NO}"))
    elif value:
        yield one.says(Option("sandbox", True))


def _sending_ip(one: VendorField, _: DialectContext) -> Iterator[Statement]:
    yield one.says(Ignored("not an address of this relay"))


def _recipient_variables(one: VendorField, context: DialectContext) -> Iterator[Statement]:
    json_object(one)
    if _uses_variables(context.content):
        refuse_template(one.name)
    yield one.says(Ignored("the body uses none"))


def _uses_variables(content: bytes) -> bool:
    """Whether a message has a variable of a recipient, as text or in base64."""
    if _VARIABLE in content:
        return True
    joined = content.replace(b"\r\n", b"")
    return any(form in joined for form in _base64_forms(_VARIABLE))


def _base64_forms(text: bytes) -> Iterator[bytes]:
    """Yield the characters that a text has in base64, by the number of octets before it modulo 3."""
    for lead in range(3):
        first, last = -(-lead * 8 // 6), (lead + len(text)) * 8 // 6
        yield b64encode(bytes(lead) + text + bytes(2))[first:last]


_track_opens = switch("opens", {**_FLAG, "htmlonly": True}, f"{_YES_OR_NO}, htmlonly")
_track_clicks = switch("clicks", _LINKS, f"{_YES_OR_NO}, htmlonly")

FIELDS: dict[str, Reader | None] = {
    "x-mailgun-tag": tag,
    "x-mailgun-variables": metadata_object,
    "x-mailgun-track": None,
    "x-mailgun-track-clicks": None,
    "x-mailgun-track-opens": None,
    "x-mailgun-track-pixel-location-top": switch("pixel", _PLACES, f"{_YES_OR_NO}, htmlonly"),
    "x-mailgun-dkim": switch("sign", _FLAG, _YES_OR_NO),
    "x-mailgun-drop-message": _sandbox,
    "x-mailgun-deliver-by": None,
    "x-mailgun-deliver-within": None,
    "x-mailgun-delivery-time-optimize-period": not_done,
    "x-mailgun-time-zone-localize": not_done,
    "x-mailgun-secondary-dkim": not_done,
    "x-mailgun-secondary-dkim-public": not_done,
    "x-mailgun-archive-to": not_done,
    "x-mailgun-suppress-headers": not_done,
    "x-mailgun-require-tls": switch("require_tls", _FLAG, _YES_OR_NO),
    "x-mailgun-skip-verification": not_done,
    "x-mailgun-sending-ip": _sending_ip,
    "x-mailgun-sending-ip-pool": pool,
    "x-mailgun-recipient-variables": _recipient_variables,
    "x-mailgun-template-name": template,
    "x-mailgun-template-version": template,
    "x-mailgun-template-variables": template,
}
"""None: read together with other fields."""

"""The form of Postmark's `POST /email` and `/email/batch` (postmarkapp.com, "Sending email with API"). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from relay.api.vendors.forms import FormError, Translated, addresses, mailboxes, message_of, renamed
from relay.mail.dialects.field_values import NOT_DONE, DialectContext, VendorField
from relay.mail.dialects.table import dialect_statements
from relay.mail.instructions import Ignored, Statement

MAX_BATCH = 500
"""Messages of one batch, at most."""

INVALID, INACTIVE, NO_TOKEN, OTHER = 300, 406, 10, 100
"""Error codes: an invalid request, inactive recipients, no valid token, anything else."""

NO_JSON, NO_JSON_TYPE, TOO_MANY, RATE = 402, 409, 410, 429
"""Error codes: a body that is no JSON, one of another type, too many messages of a batch, too many requests."""

_INACTIVE = "Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression."

_FIELDS: Mapping[str, str] = {
    "Tag": "X-PM-Tag",
    "TrackOpens": "X-PM-TrackOpens",
    "TrackLinks": "X-PM-TrackLinks",
    "MessageStream": "X-PM-Message-Stream",
}
"""Header fields of SMTP by the key with the same meaning."""

_TEMPLATE = ("TemplateId", "TemplateAlias", "TemplateModel")

_KEYS = frozenset(
    {
        *("From", "To", "Cc", "Bcc", "Subject", "HtmlBody", "TextBody", "ReplyTo", "Headers", "Metadata"),
        *("Attachments", *_FIELDS, *_TEMPLATE),
    }
)


def translate(request: object, context: DialectContext) -> Translated:
    """Return the message of a request. Raises FormError."""
    if not isinstance(request, Mapping):
        raise FormError("an object is expected")
    for key in _TEMPLATE:
        if request.get(key):
            raise FormError(f"{key}: relay does not fill in templates; fill them in before the mail is sent", key)

    message = message_of(
        {
            "from": next(iter(_mailboxes(request, "From")), None),
            "to": (to := _mailboxes(request, "To")) or _mailboxes(request, "Cc") or _mailboxes(request, "Bcc"),
            "cc": _mailboxes(request, "Cc") if to else [],
            "bcc": _mailboxes(request, "Bcc") if to else [],
            "reply_to": _mailboxes(request, "ReplyTo"),
            "subject": request.get("Subject"),
            "text": request.get("TextBody"),
            "html": request.get("HtmlBody"),
            "headers": dict(_headers(request)),
            "metadata": _metadata(request),
            "attachments": list(_attachments(request)),
        }
    )
    return Translated(message, tuple(_instructions(request, context)))


def success(message_id: str, to: str, at: float, inactive: Sequence[str]) -> Mapping[str, object]:
    """Return the answer about an accepted message. Clients read the inactive addresses from the sentence."""
    text = "OK"
    if inactive:
        listed = ", ".join(inactive)
        text = f"Message OK, but will not deliver to these inactive addresses: {listed}. {_INACTIVE}"
    submitted = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"To": to, "SubmittedAt": submitted, "MessageID": message_id, "ErrorCode": 0, "Message": text}


def all_inactive(inactive: Sequence[str]) -> Mapping[str, object]:
    """Return the answer about a message whose recipients are all suppressed."""
    found = f"Found inactive addresses: {', '.join(inactive)}."
    text = f"You tried to send to recipient(s) that have been marked as inactive.\n{found}\n{_INACTIVE}"
    return {"ErrorCode": INACTIVE, "Message": text}


def failure(code: int, text: str) -> Mapping[str, object]:
    """Return the answer about a request that failed."""
    return {"ErrorCode": code, "Message": text}


def _mailboxes(request: Mapping[str, Any], key: str) -> list[str]:
    """Return the mailboxes of a key. The sentence of the error is what clients look for."""
    value = request.get(key) or ""
    if not isinstance(value, str):
        raise FormError(f"Invalid '{key}' address: a text is expected.", key)
    try:
        found = mailboxes(key, [value] if value.strip() else [])
        addresses(found)
    except ValueError:
        raise FormError(f"Invalid '{key}' address: '{value[:200]}'.", key) from None
    return found


def _headers(request: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for one in _list(request, "Headers"):
        if not isinstance(one, Mapping) or not isinstance(one.get("Name"), str):
            raise FormError('Headers: [{"Name": "X-Order", "Value": "7"}] is expected', "Headers")
        yield one["Name"], one.get("Value") or ""


def _metadata(request: Mapping[str, Any]) -> Mapping[str, str]:
    found = request.get("Metadata") or {}
    if not isinstance(found, Mapping) or any(isinstance(one, Mapping | list) for one in found.values()):
        raise FormError("Invalid metadata content. The values must be texts.", "Metadata")
    return {key: "" if one is None else str(one) for key, one in found.items()}


def _attachments(request: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
    for one in _list(request, "Attachments"):
        if not isinstance(one, Mapping):
            raise FormError('Attachments: [{"Name", "Content", "ContentType"}] is expected', "Attachments")
        kind = str(one.get("ContentType") or "application/octet-stream").partition(";")[0].strip()
        content_id = str(one.get("ContentID") or "").removeprefix("cid:").strip("<>")
        yield {"name": one.get("Name"), "type": kind, "content": one.get("Content"), "content_id": content_id}


def _instructions(request: Mapping[str, Any], context: DialectContext) -> Iterator[Statement]:
    """Yield what the keys ask, as the header fields of SMTP would."""
    fields = [
        VendorField(name, str(value).lower() if isinstance(value, bool) else str(value))
        for key, name in _FIELDS.items()
        if (value := request.get(key)) not in (None, "")
    ]
    yield from renamed(dialect_statements("postmark", fields, context), {name: key for key, name in _FIELDS.items()})
    for key in request:
        if key not in _KEYS:
            yield Statement(str(key)[:40], NOT_DONE if key == "InlineCss" else Ignored("unknown key"))


def _list(request: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = request.get(key) or []
    if not isinstance(value, list):
        raise FormError(f"{key}: a list is expected", key)
    return value

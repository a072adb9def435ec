"""The form of SendGrid's `POST /v3/mail/send` (docs.sendgrid.com, "Mail Send"). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from relay.api.vendors.forms import FormError, Translated, message_of
from relay.mail.dialects.field_values import NOT_DONE, DialectContext, VendorField
from relay.mail.dialects.sendgrid import read_object
from relay.mail.instructions import InstructionError, Option, Statement
from relay.rewrite.originator_fields import phrase

MAX_PERSONALIZATIONS = 1000
"""Messages of one request, at most."""

PLACE = "mail/send"
"""Name of the request in what is ignored."""

_KEYS = frozenset(
    {
        *("personalizations", "from", "reply_to", "reply_to_list", "subject", "content", "attachments", "headers"),
        *("categories", "custom_args", "send_at", "asm", "ip_pool_name", "mail_settings", "tracking_settings"),
        *("template_id", "sections", "batch_id"),
    }
)

_CONTENT = {"text/plain": "text", "text/html": "html"}

_SETTINGS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "click_tracking": ("clicktrack", {"enable_text": "enable_text"}),
    "open_tracking": ("opentrack", {"substitution_tag": "replace"}),
    "subscription_tracking": (
        "subscriptiontrack",
        {"substitution_tag": "replace", "html": "text/html", "text": "text/plain"},
    ),
    "ganalytics": ("ganalytics", {}),
    "bypass_list_management": ("bypass_list_management", {}),
    "bcc": ("bcc", {"email": "email"}),
    "footer": ("footer", {}),
    "spam_check": ("spamcheck", {}),
}
"""Filters of X-SMTPAPI by the setting with the same meaning, and their keys."""


def is_sandbox(request: Mapping[str, Any]) -> bool:
    """Whether the request is only to be checked. Raises FormError."""
    enabled = _object(_object(request, "mail_settings"), "sandbox_mode").get("enable", False)
    if not isinstance(enabled, bool):
        raise FormError("enable must be true or false", "mail_settings.sandbox_mode.enable")
    return enabled


def translate(request: Mapping[str, Any], context: DialectContext) -> Sequence[Translated]:
    """Return a message for each personalization. Raises FormError."""
    if request.get("template_id") or request.get("sections"):
        raise FormError("relay does not fill in templates; fill them in before the mail is sent", "template_id")
    given = request.get("personalizations")
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_PERSONALIZATIONS:
        raise FormError(f"a list of 1 to {MAX_PERSONALIZATIONS} personalizations is needed", "personalizations")

    shared, instructions = _shared(request), tuple(_instructions(request, context))
    return [_message(request, shared, one, f"personalizations.{n}", instructions) for n, one in enumerate(given)]


def _message(
    request: Mapping[str, Any],
    shared: Mapping[str, object],
    own: object,
    place: str,
    instructions: Sequence[Statement],
) -> Translated:
    if not isinstance(own, Mapping):
        raise FormError("an object is expected", place)
    if own.get("dynamic_template_data"):
        raise FormError("relay does not fill in templates", f"{place}.dynamic_template_data")
    values = {
        **shared,
        "from": _mailbox(own["from"], f"{place}.from") if "from" in own else _mailbox(request.get("from"), "from"),
        **{key: _mailboxes(own.get(key, []), f"{place}.{key}") for key in ("to", "cc", "bcc")},
        "subject": own.get("subject", request.get("subject", "")),
        "headers": {**_texts(request, "headers"), **_texts(own, "headers", place)},
        "metadata": {**_texts(request, "custom_args"), **_texts(own, "custom_args", place)},
    }
    try:
        message, texts = message_of(values), _substitutions(own, place)
    except FormError as error:
        raise FormError(f"{place}: {error}", f"{place}.{error.field}".rstrip(".")) from None

    send_at = own.get("send_at", request.get("send_at"))
    at = [] if send_at is None else [Statement("send_at", Option("send_at", _seconds(send_at)))]
    return Translated(message, (*at, *instructions), texts)


def _shared(request: Mapping[str, Any]) -> Mapping[str, object]:
    """Return what all messages of a request have."""
    found: dict[str, object] = {"attachments": list(_attachments(request))}
    if request.get("reply_to_list"):
        found["reply_to"] = _mailboxes(request["reply_to_list"], "reply_to_list")
    elif request.get("reply_to"):
        found["reply_to"] = [_mailbox(request["reply_to"], "reply_to")]
    for number, part in enumerate(_list(request, "content")):
        kind = _object_at(part, f"content.{number}").get("type", "")
        key = _CONTENT.get(str(kind).partition(";")[0].strip().lower())
        if key is None:
            raise FormError("the type must be text/plain or text/html", f"content.{number}.type")
        found[key] = part.get("value")
    return found


def _instructions(request: Mapping[str, Any], context: DialectContext) -> Iterator[Statement]:
    """Yield what the settings ask, as X-SMTPAPI would."""
    asked: dict[str, Any] = {"category": _list(request, "categories")}
    if "group_id" in _object(request, "asm"):
        asked["asm_group_id"] = request["asm"]["group_id"]
    if request.get("ip_pool_name"):
        asked["ip_pool"] = request["ip_pool_name"]
    settings = {**_object(request, "mail_settings"), **_object(request, "tracking_settings")}
    asked["filters"] = {
        name: {
            "settings": {"enable": found.get("enable")} | {new: found[old] for old, new in keys.items() if old in found}
        }
        for setting, (name, keys) in _SETTINGS.items()
        if isinstance(found := settings.get(setting), Mapping)
    }
    try:
        yield from read_object(VendorField(PLACE, ""), asked, context)
    except InstructionError as error:
        raise FormError(str(error)) from None
    for key in request:
        if key not in _KEYS:
            yield Statement(PLACE, NOT_DONE, str(key)[:40])


def _attachments(request: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
    for number, one in enumerate(_list(request, "attachments")):
        file = _object_at(one, f"attachments.{number}")
        kind = str(file.get("type") or "application/octet-stream").partition(";")[0].strip()
        inline = file.get("disposition") == "inline"
        content_id = str(file.get("content_id", "")).strip("<>") if inline else ""
        yield {
            "name": file.get("filename") or content_id or "attachment",
            "type": kind,
            "content": file.get("content"),
            "content_id": content_id,
        }


def _substitutions(own: Mapping[str, Any], place: str) -> Mapping[str, str]:
    return {key: value for key, value in _texts(own, "substitutions", place).items() if key}


def _texts(given: Mapping[str, Any], key: str, place: str = "") -> dict[str, str]:
    """Return an object of texts; null is an empty text."""
    field = f"{place}.{key}".lstrip(".")
    found = _object(given, key, field)
    if not all(value is None or isinstance(value, str | int | float) for value in found.values()):
        raise FormError("the values must be texts", field)
    return {name: "" if value is None else str(value) for name, value in found.items()}


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
        raise FormError("Unix seconds are expected", "send_at")
    return float(value)


def _mailboxes(value: object, place: str) -> list[str]:
    if not isinstance(value, list):
        raise FormError("a list is expected", place)
    return [_mailbox(one, f"{place}.{number}") for number, one in enumerate(value)]


def _mailbox(value: object, place: str) -> str:
    """Return {"email", "name"} as "Ada <ada@example.com>"."""
    found = _object_at(value, place)
    email, name = found.get("email"), found.get("name") or ""
    if not isinstance(email, str) or not email or not isinstance(name, str):
        raise FormError('an object such as {"email": "ada@example.com", "name": "Ada"} is expected', place)
    return f"{quoted(name)} <{email.strip()}>" if name.strip() else email.strip()


def quoted(name: str) -> str:
    """Return a display name as a phrase; one beyond ASCII in quotes, which the message has as encoded words."""
    clean = " ".join(name.split())
    if clean.isascii():
        return phrase(clean)
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _list(given: Mapping[str, Any], key: str) -> list[Any]:
    value = given.get(key) or []
    if not isinstance(value, list):
        raise FormError("a list is expected", key)
    return value


def _object(given: Mapping[str, Any], key: str, field: str = "") -> Mapping[str, Any]:
    return _object_at(given.get(key) or {}, field or key)


def _object_at(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise FormError("an object is expected", field)
    return value

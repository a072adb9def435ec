"""The form of Mailgun's `POST /v3/<domain>/messages` (documentation.mailgun.com, "Send an email"). Pure."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from relay.api.outgoing_message import OWN_FIELDS, Attachment, parse_mailbox
from relay.api.vendors.form_data import Form
from relay.api.vendors.forms import FormError, Translated, mailboxes, message_of, text_of
from relay.mail.dialects.field_values import NOT_DONE, DialectContext, VendorField
from relay.mail.dialects.json_fields import parse_json_object
from relay.mail.dialects.table import dialect_statements
from relay.mail.instructions import Content, Ignored, InstructionError, Statement

OPTIONS: Mapping[str, str] = {
    "o:tag": "X-Mailgun-Tag",
    "o:tracking": "X-Mailgun-Track",
    "o:tracking-clicks": "X-Mailgun-Track-Clicks",
    "o:tracking-opens": "X-Mailgun-Track-Opens",
    "o:tracking-pixel-location-top": "X-Mailgun-Track-Pixel-Location-Top",
    "o:dkim": "X-Mailgun-Dkim",
    "o:testmode": "X-Mailgun-Drop-Message",
    "o:deliverytime": "X-Mailgun-Deliver-By",
    "o:deliver-within": "X-Mailgun-Deliver-Within",
    "o:deliverytime-optimize-period": "X-Mailgun-Delivery-Time-Optimize-Period",
    "o:time-zone-localize": "X-Mailgun-Time-Zone-Localize",
    "o:secondary-dkim": "X-Mailgun-Secondary-DKIM",
    "o:secondary-dkim-public": "X-Mailgun-Secondary-DKIM-Public",
    "o:archive-to": "X-Mailgun-Archive-To",
    "o:suppress-headers": "X-Mailgun-Suppress-Headers",
    "o:require-tls": "X-Mailgun-Require-TLS",
    "o:skip-verification": "X-Mailgun-Skip-Verification",
    "o:sending-ip": "X-Mailgun-Sending-Ip",
    "o:sending-ip-pool": "X-Mailgun-Sending-Ip-Pool",
}
"""Options of the form by the header field of SMTP that has the same meaning."""

_TEMPLATE = ("template", "t:version", "t:text", "t:variables")

_KEYS = frozenset({"from", "to", "cc", "bcc", "subject", "text", "html", "recipient-variables", *_TEMPLATE, *OPTIONS})

_VARIABLE = re.compile(r"%recipient\.([^%\r\n]{1,80})%")

_VENDOR_UNSUBSCRIBE = re.compile(r"<?(?:mailto:)?%(?:tag_|mailing_list_)?unsubscribe_(?:email|url)%>?")
"""An address or a URL in List-Unsubscribe that only Mailgun can fill in."""


def translate(form: Form, context: DialectContext) -> Translated:
    """Return the message of a form. Raises FormError."""
    values = form.values
    for key in _TEMPLATE:
        if values.get(key):
            raise FormError(f"{key}: relay does not fill in templates; fill them in before the mail is sent", key)
    if not values.get("to"):
        raise FormError("to parameter is missing", "to")
    if not values.get("from"):
        raise FormError("from parameter is missing", "from")

    to = mailboxes("to", values["to"])
    headers, dropped = _headers(values)
    message = message_of(
        {
            "from": values["from"][-1].strip(),
            "to": to,
            "cc": mailboxes("cc", values.get("cc", ())),
            "bcc": mailboxes("bcc", values.get("bcc", ())),
            "reply_to": mailboxes("h:Reply-To", filter(None, _fields(values, "reply-to"))),
            "subject": text_of(values, "subject"),
            "text": text_of(values, "text"),
            "html": text_of(values, "html"),
            "attachments": list(_attachments(form)),
            "headers": headers,
            "metadata": _metadata(values),
            "substitutions": _substitutions(values, to),
        }
    )
    said = [*_options(values, context), *dropped, *_without_value(values), *_unknown(form)]
    return Translated(message, tuple(said))


def _fields(values: Mapping[str, Sequence[str]], name: str) -> list[str]:
    return [one for key, given in values.items() if key.lower() == f"h:{name}" for one in given]


def _headers(values: Mapping[str, Sequence[str]]) -> tuple[dict[str, str], list[Statement]]:
    """Return the header fields, and those that are left out."""
    found: dict[str, str] = {}
    dropped: list[Statement] = []
    for key, given in values.items():
        name = key[2:]
        if not key.lower().startswith("h:") or name.lower() == "reply-to":
            continue
        if name.lower() in OWN_FIELDS:
            dropped.append(Statement(key, Ignored("made of the other keys")))
            continue
        value = given[-1]
        if name.lower() == "list-unsubscribe" and _VENDOR_UNSUBSCRIBE.search(value):
            parts = map(str.strip, value.split(","))
            value = ", ".join(part for part in parts if not _VENDOR_UNSUBSCRIBE.fullmatch(part))
            dropped.append(Statement(key, Ignored("the unsubscribe address of Mailgun is left out")))
        if value:
            found[name] = value
    return found, dropped


def _metadata(values: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {key[2:]: given[-1] for key, given in values.items() if key.startswith("v:")}


def _attachments(form: Form) -> Iterator[Attachment]:
    for file in form.files:
        content = b64encode(file.content).decode("ascii")
        content_id = file.name if file.field == "inline" else ""
        try:
            yield Attachment(name=file.name, type=file.type, content=content, content_id=content_id)
        except ValueError:
            raise FormError(
                f"{file.field}: name or type of the file {file.name[:100]!r} is not valid", file.field
            ) from None


def _substitutions(values: Mapping[str, Sequence[str]], to: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Return the texts to replace for each address of `to`; nothing without recipient variables."""
    variables = _variables(values)
    if variables is None:
        return {}
    given = {address.lower(): found for address, found in variables.items()}
    return {mailbox.address: _texts(mailbox.name, mailbox.address, given) for mailbox in map(parse_mailbox, to)}


def _texts(name: str, address: str, variables: Mapping[str, Any]) -> dict[str, str]:
    own = variables.get(address.lower(), {})
    first, _, last = (name := name.strip().strip('"')).partition(" ")
    about = {"recipient": address, "recipient_email": address, "recipient_name": name}
    about |= {"recipient_fname": first, "recipient_lname": last}
    texts = {f"%{key}%": value for key, value in about.items()}
    return texts | {
        f"%recipient.{key}%": value if isinstance(value, str) else _shown(value) for key, value in own.items()
    }


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _variables(values: Mapping[str, Sequence[str]]) -> Mapping[str, Any] | None:
    text = text_of(values, "recipient-variables")
    if text is None:
        return None
    try:
        found = parse_json_object("recipient-variables", text or "{}")
    except InstructionError as error:
        raise FormError(str(error), "recipient-variables") from None
    if not all(isinstance(one, dict) for one in found.values()):
        raise FormError('recipient-variables: {"ada@example.com": {"name": "Ada"}} is expected', "recipient-variables")
    return found


def _without_value(values: Mapping[str, Sequence[str]]) -> Iterator[Statement]:
    """Yield the variables that the message uses and that some recipient has no value for: their text stays."""
    variables = _variables(values)
    if variables is None:
        return
    searched = ("subject", "text", "html", *(key for key in values if key.lower().startswith(("h:", "v:"))))
    used = {name for key in searched for text in values.get(key, ()) for name in _VARIABLE.findall(text)}
    for name in sorted(used):
        if any(name not in own for own in variables.values()) or not variables:
            yield Statement("recipient-variables", Ignored("not all recipients have a value"), name)


def _options(values: Mapping[str, Sequence[str]], context: DialectContext) -> Iterator[Statement]:
    """Yield what the options ask, as the header fields of SMTP would."""
    names = {field: option for option, field in OPTIONS.items()}
    fields = [VendorField(OPTIONS[key], one.strip()) for key in OPTIONS for one in values.get(key, ())]
    try:
        for said in dialect_statements("mailgun", fields, context):
            yield Statement(names[said.field], said.content, said.key)
    except InstructionError as error:
        raise FormError(str(error)) from None


def _unknown(form: Form) -> Iterator[Statement]:
    for key in form.values:
        if key not in _KEYS and not key.lower().startswith(("h:", "v:")):
            content: Content = NOT_DONE if key.startswith(("o:", "t:", "amp-")) else Ignored("unknown key")
            yield Statement(key[:80], content)

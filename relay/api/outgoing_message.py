"""A message as applications give it in JSON: the model that every route for sending fills."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from relay.mail.address import AddressError, parse_address
from relay.mail.address_list import Mailbox, Unreadable, parse_address_list
from relay.mail.canonical_address import canonical
from relay.mail.control_headers import LAST_YEAR
from relay.mail.instructions import MAX_ITEMS, MAX_VALUE

MAX_RECIPIENTS = 1000
"""Recipients of one message, at most."""

MAX_BATCH = 1000
"""Messages of one batch, at most."""

MAX_SUBJECT = 2000
"""Characters of a subject, at most."""

_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")

_MIME_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")

OWN_FIELDS = frozenset(
    {
        "bcc",
        "cc",
        "content-disposition",
        "content-id",
        "content-transfer-encoding",
        "content-type",
        "from",
        "mime-version",
        "received",
        "reply-to",
        "return-path",
        "subject",
        "to",
    }
)
"""Header fields, in lower case, that are made of the other keys or by the relay."""


def _text(value: str) -> str:
    if _NO_TEXT.search(value):
        raise ValueError("has a character that is no text (U+0000, or half a pair)")
    return value


def _line(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("has a line end or another control character; give one line of text")
    return value


def parse_mailbox(text: str) -> Mailbox:
    """Return name and address of "Ada <ada@example.com>" or "ada@example.com". Raises ValueError."""
    parsed = parse_address_list(text)
    if isinstance(parsed, Unreadable):
        raise ValueError(f'is no address: {parsed}; use "ada@example.com" or "\\"Lovelace, Ada\\" <ada@example.com>"')  # noqa: TRY004
    if len(parsed) != 1 or parsed[0].in_group:
        raise ValueError(f'has {len(parsed)} addresses; give one, such as "Ada <ada@example.com>"')
    try:
        parse_address(parsed[0].address)
    except AddressError as error:
        raise ValueError(f'is no address: {error}; use "ada@example.com"') from None
    return parsed[0]


def _mailbox(value: str) -> str:
    parse_mailbox(_line(value))
    return value


def _field_name(value: str) -> str:
    if not _FIELD_NAME.fullmatch(value):
        raise ValueError("is no name of a header field: use letters, digits and hyphens (RFC 5322 section 2.2)")
    if value.lower() in OWN_FIELDS:
        raise ValueError("is made of the other keys of the message; remove it from headers")
    return value


def _mime_type(value: str) -> str:
    if not _MIME_TYPE.fullmatch(value) or value.lower().startswith(("multipart/", "message/")):
        raise ValueError('is no type of a file; use one such as "application/pdf"')
    return value.lower()


def _base64(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64 (RFC 4648 section 4, with padding and without line ends)") from None
    return value


def _time(value: datetime) -> datetime:
    if value.year > LAST_YEAR:
        raise ValueError(f"is later than the year {LAST_YEAR}")
    return value


Text = Annotated[str, AfterValidator(_text)]
Line = Annotated[str, AfterValidator(_line)]
Label = Annotated[str, Field(max_length=MAX_VALUE), AfterValidator(_line)]
MailboxText = Annotated[str, Field(max_length=1000, examples=["Ada <ada@example.com>"]), AfterValidator(_mailbox)]


class _Model(BaseModel):
    """A frozen model without unknown keys. Its errors never have the value, which may be private."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, defer_build=True, hide_input_in_errors=True, populate_by_name=True
    )


class Attachment(_Model):
    """A file in the message."""

    name: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_line)]
    type: Annotated[str, AfterValidator(_mime_type)] = "application/octet-stream"
    content: Annotated[str, AfterValidator(_base64)] = Field(description="Octets of the file in base64")
    content_id: Annotated[str, Field(max_length=200, pattern=r"^[!#-;=?-~]*$")] = Field(
        default="", description="With it the file is shown in the HTML, as `cid:` and this text"
    )


class Track(_Model):
    """What may be tracked, if the domain tracks it. Absent: as the domain has it."""

    opens: bool | None = None
    clicks: bool | Literal["html"] | None = Field(default=None, description="`html`: links of the HTML part only")


class OutgoingMessage(_Model):
    """A message to send."""

    from_: MailboxText = Field(alias="from")
    to: tuple[MailboxText, ...] = Field(min_length=1, max_length=MAX_RECIPIENTS)
    cc: tuple[MailboxText, ...] = Field(default=(), max_length=MAX_RECIPIENTS)
    bcc: tuple[MailboxText, ...] = Field(default=(), max_length=MAX_RECIPIENTS, description="Hidden recipients")
    reply_to: tuple[MailboxText, ...] = Field(default=(), max_length=MAX_ITEMS)
    subject: Annotated[str, Field(max_length=MAX_SUBJECT), AfterValidator(_line)] = ""
    text: Text | None = Field(default=None, description="Body as plain text")
    html: Text | None = Field(default=None, description="Body as HTML")
    attachments: tuple[Attachment, ...] = Field(default=(), max_length=100)
    headers: Mapping[Annotated[str, AfterValidator(_field_name)], Line] = Field(
        default={}, max_length=100, description="Further header fields"
    )
    campaign: Label = Field(default="", description="Name of the campaign; absent: transactional mail")
    tags: tuple[Label, ...] = Field(default=(), max_length=MAX_ITEMS)
    metadata: Mapping[Label, Label] = Field(default={}, max_length=MAX_ITEMS)
    track: Track = Track()
    send_at: Annotated[AwareDatetime, AfterValidator(_time)] | None = Field(
        default=None, description="Earliest time to send (RFC 3339, with a time zone)"
    )
    provider: Label = Field(default="", description="Provider to send by; absent: as configured")
    priority: Literal["high", "normal", "campaign"] | None = None
    sandbox: bool = Field(default=False, description="Do all but the last step: it leaves for no server")
    envelope_from: Annotated[str, AfterValidator(_mailbox)] | None = Field(
        default=None, description="Reverse-path; absent: the address of `from`"
    )
    substitutions: Mapping[str, Mapping[Annotated[str, Field(min_length=1, max_length=100)], Text]] = Field(
        default={},
        max_length=MAX_RECIPIENTS,
        description="By address of `to`: texts to replace in subject, bodies and header fields, with the values. "
        "Each recipient then gets a message of its own",
        examples=[{"ada@example.com": {"%name%": "Ada"}}],
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.text is None and self.html is None and not self.attachments:
            raise ValueError("the message has no content: give text, html, or both")
        if len(self.to) + len(self.cc) + len(self.bcc) > MAX_RECIPIENTS:
            raise ValueError(f"the message has more than {MAX_RECIPIENTS} recipients: send several")
        if self.substitutions and (self.cc or self.bcc):
            raise ValueError("a message with substitutions has no cc and bcc: each address of to gets its own")
        addressed = {canonical(parse_mailbox(one).address) for one in self.to}
        unknown = [one for one in self.substitutions if canonical(one) not in addressed]
        if unknown:
            raise ValueError(f"substitutions has {unknown[0][:100]!r}, which is no address of to")
        return self


class Batch(_Model):
    """Several messages, which are accepted or refused one by one."""

    messages: tuple[OutgoingMessage, ...] = Field(min_length=1, max_length=MAX_BATCH)

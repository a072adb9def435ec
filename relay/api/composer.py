"""Composes the MIME message of an application's JSON (RFC 5322, RFC 2045 to 2047, RFC 2231). Pure.

Date and Message-ID are added at acceptance, as for mail by SMTP. `email.message` would take 15 ms for 20 KB.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from email.header import Header
from hashlib import blake2b
from urllib.parse import quote

from relay.api.outgoing_message import Attachment, OutgoingMessage, parse_mailbox
from relay.mail.address_list import Mailbox, Unreadable, parse_address_list
from relay.mail.dot_stuffing import normalise
from relay.mail.header_lines import LINE_LIMIT
from relay.rewrite.originator_fields import phrase

_LINE = 76
"""Characters after which a header field is folded, at a blank."""

_BLANKS = re.compile(r"[ \t]+")

_ADDRESS_FIELDS = frozenset(
    {
        "disposition-notification-to",
        "errors-to",
        "resent-bcc",
        "resent-cc",
        "resent-from",
        "resent-reply-to",
        "resent-sender",
        "resent-to",
        "return-receipt-to",
        "sender",
    }
)
"""Further fields of addresses, in lower case."""

_PLAIN_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`{|}~ ")
"""Characters of a file name that a quoted parameter has as they are."""


def compose(message: OutgoingMessage, message_id: str = "") -> bytes:
    """Return the message with CRLF line ends. `bcc` is in no field. `message_id` has its angle brackets."""
    header = [*_address_fields(message), f"Subject: {_unstructured('Subject', message.subject)}"]
    if message_id:
        header.append(f"Message-ID: {message_id}")
    header += [f"{name}: {_further(name, value)}" for name, value in message.headers.items()]
    header.append("MIME-Version: 1.0")
    return "".join(f"{line}\r\n" for line in header).encode("utf-8") + _body(message)


def _address_fields(message: OutgoingMessage) -> Iterator[str]:
    yield f"From: {_mailboxes([message.from_])}"
    yield f"To: {_mailboxes(message.to)}"
    if message.cc:
        yield f"Cc: {_mailboxes(message.cc)}"
    if message.reply_to:
        yield f"Reply-To: {_mailboxes(message.reply_to)}"


def _mailboxes(texts: Iterable[str]) -> str:
    return ",\r\n ".join(map(_mailbox, texts))


def _mailbox(text: str) -> str:
    """Return a mailbox as given; its name as encoded words if it is not ASCII, because not all servers take UTF-8."""
    found = parse_mailbox(text)
    return text.strip() if found.name.isascii() else _encoded(found)


def _encoded(mailbox: Mailbox) -> str:
    return f"{phrase(_unquoted(mailbox.name))} <{mailbox.address}>" if mailbox.name else mailbox.address


def _unquoted(name: str) -> str:
    bare = name.strip()
    if len(bare) > 1 and bare.startswith('"') and bare.endswith('"'):
        return bare[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return bare


def _further(name: str, value: str) -> str:
    """Return the value of a further field. One of addresses may have encoded words in the names only (RFC 2047)."""
    if name.lower() in _ADDRESS_FIELDS and not value.isascii():
        parsed = parse_address_list(value)
        if not isinstance(parsed, Unreadable):
            return ",\r\n ".join(map(_encoded, parsed))
    return _unstructured(name, value)


def _unstructured(name: str, value: str) -> str:
    """Return the value of a field, folded; as encoded words if it is not ASCII, or looks like one (RFC 2047)."""
    if len(value) > _LINE:
        value = _BLANKS.sub(" ", value)  # A fold within a run of blanks would leave a line of blanks alone.
    charset = None if value.isascii() and "=?" not in value else "utf-8"
    return Header(value.strip(), charset, maxlinelen=_LINE, header_name=name).encode(splitchars=" \t", linesep="\r\n")


def _body(message: OutgoingMessage) -> bytes:
    """Return the parts: text and HTML as alternatives, files of the HTML beside it, other files behind them."""
    inline = [one for one in message.attachments if one.content_id and message.html is not None]
    parts = []
    if message.text is not None or message.html is None:
        parts.append(_text_part(message.text or "", "plain"))
    if message.html is not None:
        html = _text_part(message.html, "html")
        parts.append(_multipart("related", [html, *map(_file_part, inline)]) if inline else html)

    shown = parts[0] if len(parts) == 1 else _multipart("alternative", parts)
    others = [_file_part(one) for one in message.attachments if one not in inline]
    return _multipart("mixed", [shown, *others]) if others else shown


def _text_part(text: str, subtype: str) -> bytes:
    """Return a text as it is; in base64 if it has lines that are too long for mail."""
    octets = normalise(text.encode("utf-8"))
    if not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    encoding = "7bit" if octets.isascii() else "8bit"
    if max(map(len, octets.split(b"\r\n"))) > LINE_LIMIT:
        encoding, octets = "base64", _base64_lines(octets)
    return _part(f'text/{subtype}; charset="utf-8"', (f"Content-Transfer-Encoding: {encoding}",), octets)


def _file_part(file: Attachment) -> bytes:
    kind = "inline" if file.content_id else "attachment"
    fields = ["Content-Transfer-Encoding: base64", f"Content-Disposition: {kind};\r\n {_file_name(file.name)}"]
    if file.content_id:
        fields.append(f"Content-ID: <{file.content_id}>")
    return _part(file.type, fields, _base64_lines(base64.b64decode(file.content)))


def _file_name(name: str) -> str:
    """Return the parameter with a file name (RFC 2183; RFC 2231 section 4 if it is not plain)."""
    if set(name) <= _PLAIN_NAME:
        return f'filename="{name}"'
    encoded = f"filename*=utf-8''{quote(name, safe='')}"
    if len(encoded) <= _LINE:
        return encoded
    octets = quote(name, safe="")
    cuts = [octets[at : at + 60] for at in range(0, len(octets), 60)]
    head = f"filename*0*=utf-8''{cuts[0]}"
    return ";\r\n ".join([head, *(f"filename*{number}*={cut}" for number, cut in enumerate(cuts[1:], 1))])


def _base64_lines(octets: bytes) -> bytes:
    encoded = base64.b64encode(octets)
    return b"".join(encoded[at : at + _LINE] + b"\r\n" for at in range(0, len(encoded), _LINE))


def _multipart(subtype: str, parts: Sequence[bytes]) -> bytes:
    """Return the parts between boundaries. A boundary is a digest of the parts, which they cannot contain."""
    digest = blake2b(digest_size=15, person=b"relay.boundary")
    for part in parts:
        digest.update(part)
    boundary = f"=_{digest.hexdigest()}"
    mark = f"--{boundary}".encode()
    whole = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts)
    return _part(f'multipart/{subtype};\r\n boundary="{boundary}"', (), whole + mark + b"--\r\n")


def _part(content_type: str, fields: Iterable[str], octets: bytes) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"Content-Type: {content_type}", *fields))
    return head.encode() + b"\r\n" + octets

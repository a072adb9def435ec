"""Fitting a message to the next hop: 8-bit text and overlong lines re-encoded (RFC 6152, RFC 5321 4.5.3.1.6)."""

from relay.mail.headers import Field, named
from relay.rewrite.coding import (
    BASE64,
    QUOTED_PRINTABLE,
    encode_base64,
    encode_quoted_printable,
    has_long_line,
)
from relay.rewrite.mime import IDENTITY_ENCODINGS, Part, walk

_FIELD = b"Content-Transfer-Encoding"
_UNTOUCHABLE = frozenset({"multipart/signed", "multipart/encrypted"})


def fit(content: bytes, eight_bit: bool) -> bytes:
    """Return the message as the next hop can take it; the same object when it can as it is.

    Without `eight_bit` (8BITMIME) parts with bytes over 127 are re-encoded, and always those with lines over 998
    octets: text as quoted-printable, everything else as base64. What is signed or encrypted stays as it is, and so
    does a message that carries a DKIM signature or whose structure is doubtful; raw 8-bit header fields too.
    Fit before signing.
    """
    if (eight_bit or content.isascii()) and not has_long_line(content):
        return content
    parts = walk(content)
    if any(field.name == b"dkim-signature" for field in parts[0].fields) or any(part.fault for part in parts):
        return content
    pieces: list[bytes] = []
    at = 0
    for part in parts:
        changed = _fitted(content, part, eight_bit)
        if changed is not None:
            header, body = changed
            pieces += (content[at : part.start], header, body)
            at = part.end if part.is_leaf else part.body
    if not pieces:
        return content
    pieces.append(content[at:])
    return b"".join(pieces)


def _fitted(content: bytes, part: Part, eight_bit: bool) -> tuple[bytes, bytes] | None:
    """Return the header block and body of a part that must change; a container changes its header block only."""
    if part.encoding not in IDENTITY_ENCODINGS or _UNTOUCHABLE.intersection((part.content_type, *part.parents)):
        return None
    header = content[part.start : part.body]
    if not part.is_leaf:
        relabelled = not eight_bit and part.encoding != "7bit"
        return (_labelled(part, header, b"7bit"), b"") if relabelled else None
    body = content[part.body : part.end]
    if (eight_bit or body.isascii()) and not has_long_line(body):
        return None
    return reencoded(part, header, body)


def reencoded(part: Part, header: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return header block and body with the body in quoted-printable if it is text, otherwise in base64.

    Text that quoted-printable cannot carry unchanged goes as base64 too.
    """
    encoded = encode_quoted_printable(body) if part.content_type.startswith("text/") else None
    if encoded is not None:
        return _labelled(part, header, QUOTED_PRINTABLE.encode("ascii")), encoded
    return _labelled(part, header, BASE64.encode("ascii")), encode_base64(body)


def _labelled(part: Part, header: bytes, encoding: bytes) -> bytes:
    """Return the header block with this Content-Transfer-Encoding, in the field that is there or in a new last one."""
    field: Field | None = next(named(part.fields, _FIELD.lower()), None)
    if field is not None:
        at = field.value_start - part.start
        return header[:at] + b" " + encoding + b"\r\n" + header[field.end - part.start :]
    line = _FIELD + b": " + encoding + b"\r\n"
    blank = len(header) - 2 if header.endswith(b"\r\n\r\n") or header == b"\r\n" else len(header)
    return header[:blank] + line + header[blank:]

"""Transfer encodings and adapting to the next hop."""

import binascii
import re
from bisect import bisect_right
from itertools import accumulate

from relay.mail.headers import Field, named
from relay.rewrite.mime import IDENTITY_ENCODINGS, Part, walk

LINE_LIMIT = 998
"""Octets a line may have without its CRLF (RFC 5321 section 4.5.3.1.6)."""


QP_LINE = 76


_PADDED_BREAK = re.compile(rb"=[ \t]++\r\n")


_UNSAFE = re.compile(rb"[^ -<>-~]")


BASE64_LINE = 76


QUOTED_PRINTABLE = "quoted-printable"


BASE64 = "base64"


def decode(encoding: str, body: bytes) -> bytes | None:
    """Return the decoded body; None when the encoding is unknown or the body does not keep to it."""
    if encoding in IDENTITY_ENCODINGS:
        return body
    if encoding == QUOTED_PRINTABLE:
        return QuotedPrintable(body).decoded
    return _decode_base64(body) if encoding == BASE64 else None


def _decode_base64(body: bytes) -> bytes | None:
    compact = body.translate(None, b"\r\n\t ")
    if len(compact) % 4:
        return None
    try:
        return binascii.a2b_base64(compact, strict_mode=True)
    except binascii.Error:
        return None


class QuotedPrintable:
    """A quoted-printable body, and the way from its decoded bytes back to the encoded ones.

    White space at the end of a line, which transports may have added (RFC 2045 section 6.7 rule 3), is decoded like
    any other; who inserts text must not put it behind such white space.
    """

    __slots__ = ("_body", "_clean", "_decoded_starts", "_encoded_starts", "decoded")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._clean = body.removesuffix(b"=")
        self._encoded_starts: list[int] = []
        self._decoded_starts: list[int] = []
        self.decoded = self._decode()
        if self.decoded is None and _PADDED_BREAK.search(self._clean) is not None:
            self._clean = _PADDED_BREAK.sub(b"=\r\n", self._clean)
            self.decoded = self._decode()

    def _decode(self) -> bytes | None:
        """Decode; a wrong escape makes the result longer than its escapes promise, and bare line ends are refused."""
        clean = self._clean
        decoded = binascii.a2b_qp(clean)
        breaks = clean.count(b"=\r\n")
        if len(decoded) != len(clean) - 2 * clean.count(b"=") - breaks:
            return None
        return None if b"=\n" in clean or clean.count(b"=\r") != breaks or b"\0" in clean else decoded

    def start_of(self, offset: int) -> int:
        """Return where the encoding of the decoded byte at `offset` begins, behind any soft line break."""
        return self._locate(offset)[0]

    def end_of(self, offset: int) -> int:
        """Return where the encoding of the decoded byte before `offset` ends, before any soft line break."""
        return self._locate(offset - 1)[1] if offset else 0

    def _locate(self, offset: int) -> tuple[int, int]:
        if not self._encoded_starts:
            self._index_lines()
        line = min(bisect_right(self._decoded_starts, offset), len(self._encoded_starts) - 1) - 1
        at, end = self._encoded_starts[line], self._encoded_starts[line + 1]
        wanted = offset - self._decoded_starts[line]
        while (escape := self._body.find(b"=", at, end)) >= 0 and wanted >= escape - at:
            wanted -= escape - at
            if wanted == 0:
                return escape, escape + 3
            at = escape + 3
            wanted -= 1
        return at + wanted, at + wanted + 1

    def _index_lines(self) -> None:
        """Find where each line starts, encoded and decoded; NUL, which is never in the body, marks where they end."""
        marked = binascii.a2b_qp(self._clean.replace(b"\n", b"\n\0"))
        self._encoded_starts = list(accumulate((len(line) + 1 for line in self._body.split(b"\n")), initial=0))
        self._decoded_starts = list(accumulate(map(len, marked.split(b"\0")), initial=0))


def quote(text: bytes, column: int, rest: int) -> tuple[bytes, int]:
    """Return the text in quoted-printable, begun at `column`, and the column behind it.

    Soft breaks keep lines at 76; `rest` is what the line still holds behind the text. A "." never begins a line.
    """
    text = _UNSAFE.sub(_escaped, text)
    pieces: list[bytes] = []
    at = 0
    while at < len(text):
        if column + len(text) - at + rest <= QP_LINE:
            pieces.append(text[at:])
            return b"".join(pieces), column + len(text) - at
        cut = _cut(text, at, at + max(QP_LINE - 1 - column, 0))
        pieces += (text[at:cut], b"=\r\n")
        at, column = cut, 0
        if text.startswith(b".", at):
            pieces.append(b"=2E")
            at, column = at + 1, 3
    return b"".join(pieces), column


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"=%02X" % match[0][0]


def _cut(text: bytes, at: int, end: int) -> int:
    """Return where to break at or before `end` so that no escape is split."""
    if end >= len(text):
        return len(text)
    escape = text.rfind(b"=", max(at, end - 2), end)
    return end if escape < 0 else escape


def base64_line(body: bytes) -> int:
    """Return the width of the lines of a base64 body, 76 when it has none to speak of."""
    width = body.find(b"\r\n")
    return width // 4 * 4 if 4 <= width <= LINE_LIMIT else BASE64_LINE


def encode_base64(data: bytes, width: int = BASE64_LINE) -> bytes:
    """Return the data in base64 lines of that width, without a final line end."""
    text = binascii.b2a_base64(data, newline=False)
    return b"\r\n".join(text[at : at + width] for at in range(0, len(text), width))


def encode_quoted_printable(data: bytes) -> bytes | None:
    """Return text in quoted-printable; None when it has bare line ends, which would not come back the same."""
    if not data.count(b"\n") == data.count(b"\r\n") == data.count(b"\r"):
        return None
    encoded = binascii.b2a_qp(data, istext=True)
    return encoded if b"\n" in data else encoded.replace(b"\n", b"\r\n")


def has_long_line(data: bytes, start: int = 0, end: int | None = None) -> bool:
    """Tell whether a line of the range has more than 998 octets; hops from line end to line end backwards."""
    stop = len(data) if end is None else end
    while stop - start > LINE_LIMIT:
        line_end = data.rfind(b"\n", start, start + LINE_LIMIT + 2)
        if line_end < 0:
            return True
        start = line_end + 1
    return False


_FIELD = b"Content-Transfer-Encoding"


_UNTOUCHABLE = frozenset({"multipart/signed", "multipart/encrypted"})


def adapt_to_next_hop(content: bytes, eight_bit: bool) -> bytes:
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

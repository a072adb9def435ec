"""Content transfer encodings, and adapting a message to the next hop."""

import binascii
import re
from bisect import bisect_right
from itertools import accumulate

from relay.mail.header_lines import LINE_LIMIT, fold_fields, with_header_end
from relay.mail.headers import Field, fields, named
from relay.mail.native import IS_COMPILED, native
from relay.rewrite.mime import IDENTITY_ENCODINGS, Part, walk

QP_LINE = 76
"""Octets of a line of quoted-printable, at most (RFC 2045 section 6.7)."""

BASE64_LINE = 76
"""Octets of a line of base64, at most (RFC 2045 section 6.8)."""

QUOTED_PRINTABLE = "quoted-printable"
BASE64 = "base64"

_PADDED_BREAK = re.compile(rb"=[ \t]++\r\n")
"""A soft line break with white space added in transport."""

_LAST_BREAK = re.compile(rb"=[ \t]*+\Z")
"""A soft line break at the end of a body: its line end belongs to the delimiter."""

_UNSAFE = re.compile(rb"[^ -<>-~]")
"""Octets that quoted-printable must escape."""

_RELAXED_HEADER = re.compile(rb"(?:\A|;)[ \t]*c[ \t]*=[ \t]*relaxed\b")
"""A tag of a DKIM-Signature: folds do not change what it covers."""

_FIELD = b"Content-Transfer-Encoding"

_UNCHANGEABLE = frozenset({"multipart/signed", "multipart/encrypted"})
"""Content types whose parts must stay unchanged."""


def decode(encoding: str, body: bytes) -> bytes | None:
    """Return the decoded body, None for an unknown encoding or a malformed body."""
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
    """A quoted-printable body, decoded, with the encoded offset of each decoded byte.

    White space at the end of a line, which transports may have added (RFC 2045 section 6.7 rule 3), is decoded like
    any other. Text must not be inserted after such white space.
    """

    __slots__ = ("_body", "_clean", "_decoded_starts", "_encoded_starts", "decoded")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._clean = _LAST_BREAK.sub(b"", body)
        self._encoded_starts: list[int] = []
        self._decoded_starts: list[int] = []
        self.decoded = self._decode()
        if self.decoded is None and _PADDED_BREAK.search(self._clean) is not None:
            self._clean = _PADDED_BREAK.sub(b"=\r\n", self._clean)
            self.decoded = self._decode()

    def _decode(self) -> bytes | None:
        """Return the decoded body, None for a wrong escape or a bare line end."""
        # A wrong escape is copied, which makes the result longer than the escapes account for.
        clean = self._clean
        decoded = binascii.a2b_qp(clean)
        breaks = clean.count(b"=\r\n")
        if len(decoded) != len(clean) - 2 * clean.count(b"=") - breaks:
            return None
        return None if b"=\n" in clean or clean.count(b"=\r") != breaks or b"\0" in clean else decoded

    def start_of(self, offset: int) -> int:
        """Return the encoded offset at which the decoded byte at `offset` begins, after any soft line break."""
        return self._locate(offset)[0]

    def end_of(self, offset: int) -> int:
        """Return the encoded offset at which the decoded byte before `offset` ends, before any soft line break."""
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
        """Find the encoded and the decoded start of each line. NUL marks the line ends: the body never contains it."""
        marked = binascii.a2b_qp(self._clean.replace(b"\n", b"\n\0"))
        self._encoded_starts = list(accumulate((len(line) + 1 for line in self._body.split(b"\n")), initial=0))
        self._decoded_starts = list(accumulate(map(len, marked.split(b"\0")), initial=0))


def quote(text: bytes, column: int, rest: int) -> tuple[bytes, int]:
    """Return the text in quoted-printable, starting at `column`, and the column after it.

    Soft breaks keep lines within 76 octets. `rest` is the octets of the line after the text. No line begins with ".".
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
    """Return the last offset at or before `end` that does not split an escape."""
    if end >= len(text):
        return len(text)
    escape = text.rfind(b"=", max(at, end - 2), end)
    return end if escape < 0 else escape


def base64_line(body: bytes) -> int:
    """Return the line width of a base64 body, 76 when its first line has no usable width."""
    width = body.find(b"\r\n")
    return width // 4 * 4 if 4 <= width <= LINE_LIMIT else BASE64_LINE


def encode_base64(data: bytes, width: int = BASE64_LINE) -> bytes:
    """Return the data in base64 lines of that width, without a final line end."""
    text = binascii.b2a_base64(data, newline=False)
    return b"\r\n".join(text[at : at + width] for at in range(0, len(text), width))


def encode_quoted_printable(data: bytes) -> bytes | None:
    """Return text in quoted-printable, None for text with bare line ends, which decoding would change."""
    if not data.count(b"\n") == data.count(b"\r\n") == data.count(b"\r"):
        return None
    encoded = binascii.b2a_qp(data, istext=True)
    return encoded if b"\n" in data else encoded.replace(b"\n", b"\r\n")


def has_long_line(data: bytes, start: int = 0, end: int | None = None) -> bool:
    """Whether a line of the range has more than 998 octets."""
    stop = len(data) if end is None else end
    return native.has_long_line(data, start, stop, LINE_LIMIT) if IS_COMPILED else has_long_line_twin(data, start, stop)


def has_long_line_twin(data: bytes, start: int, stop: int) -> bool:
    """Whether a line between these offsets has more than 998 octets: what the compiled function returns."""
    while stop - start > LINE_LIMIT:
        line_end = data.rfind(b"\n", start, start + LINE_LIMIT + 2)
        if line_end < 0:
            return True
        start = line_end + 1
    return False


def adapt_to_next_hop(content: bytes, eight_bit: bool) -> bytes:
    """Return the message in a form that the next hop accepts, the same object when nothing changes.

    Parts with bytes over 127 are re-encoded without `eight_bit` (8BITMIME), parts with lines over 998 octets always:
    text as quoted-printable, all else as base64. Header lines over 998 octets are folded, unless a DKIM signature
    covers them octet by octet. A header ends before its first line that is no field. Signed and encrypted parts stay
    unchanged, and so do raw 8-bit header fields. The parts of a message with a DKIM signature or a malformed structure
    stay unchanged too. Call this before signing.
    """
    content = _conforming_header(content)
    if (eight_bit or content.isascii()) and not has_long_line(content):
        return content
    content = _folded_header(content)
    parts = walk(content)
    if any(field.name == b"dkim-signature" for field in parts[0].fields) or any(part.fault for part in parts):
        return content

    pieces: list[bytes] = []
    at = 0
    for part in parts:
        changed = _adapt_part(content, part, eight_bit)
        if changed is not None:
            header, body = changed
            pieces += (content[at : part.start], header, body)
            at = part.end if part.is_leaf else part.body
    if not pieces:
        return content
    pieces.append(content[at:])
    return b"".join(pieces)


def _conforming_header(content: bytes) -> bytes:
    """Return the content with the empty line that its header lacks, unchanged if it has a signature."""
    found = fields(content)
    is_signed = any(True for _ in named(found, b"dkim-signature"))
    return content if is_signed else with_header_end(content, found)


def _folded_header(content: bytes) -> bytes:
    """Return the content with folded header lines, unchanged if a signature would break (RFC 6376 section 3.4.1)."""
    found = fields(content)
    signatures = (one.value(content) for one in named(found, b"dkim-signature"))
    return fold_fields(content, found) if all(map(_RELAXED_HEADER.search, signatures)) else content


def _adapt_part(content: bytes, part: Part, eight_bit: bool) -> tuple[bytes, bytes] | None:
    """Return the new header block and body of a part, None for no change. A container changes its header block only."""
    if _UNCHANGEABLE.intersection((part.content_type, *part.parents)):
        return None
    header = content[part.start : part.body]
    body = content[part.body : part.end] if part.is_leaf else b""
    new_header, new_body = header, body
    if part.encoding in IDENTITY_ENCODINGS:
        if part.is_leaf and (has_long_line(body) or not (eight_bit or body.isascii())):
            new_header, new_body = reencoded(part, header, body)
        elif not (part.is_leaf or eight_bit or part.encoding == "7bit"):
            new_header = _with_encoding_field(part, header, b"7bit")
    if has_long_line(new_header):
        new_header = _folded_header(new_header)
    return None if new_header == header and new_body is body else (new_header, new_body)


def reencoded(part: Part, header: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return header block and body, with text in quoted-printable and all else in base64.

    Text that quoted-printable would change is encoded in base64.
    """
    encoded = encode_quoted_printable(body) if part.content_type.startswith("text/") else None
    if encoded is not None:
        return _with_encoding_field(part, header, QUOTED_PRINTABLE.encode("ascii")), encoded
    return _with_encoding_field(part, header, BASE64.encode("ascii")), encode_base64(body)


def _with_encoding_field(part: Part, header: bytes, encoding: bytes) -> bytes:
    """Return the header block with this Content-Transfer-Encoding, in the existing field or in a new last one."""
    field: Field | None = next(named(part.fields, _FIELD.lower()), None)
    if field is not None:
        at = field.value_start - part.start
        return header[:at] + b" " + encoding + b"\r\n" + header[field.end - part.start :]
    line = _FIELD + b": " + encoding + b"\r\n"
    blank = len(header) - 2 if header.endswith(b"\r\n\r\n") or header == b"\r\n" else len(header)
    return header[:blank] + line + header[blank:]

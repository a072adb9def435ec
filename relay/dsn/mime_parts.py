"""Splits a mail into MIME parts within fixed limits, and decodes encoded words."""

import base64
import binascii
import quopri
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from relay.mail import headers

_WORD = re.compile(r"=\?([A-Za-z0-9_-]{1,30})(?:\*[A-Za-z-]{1,10})?\?([bBqQ])\?([^?\s]{0,400})\?=")

_BETWEEN = re.compile(r"(\?=)\s{1,20}(=\?)")

_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")

_REFUSED = ("punycode", "idna", "utf_7", "utf-7", "unicode", "raw_unicode")


def decode_words(value: str) -> str:
    """Decode the encoded words of a value; an invalid one is unchanged."""
    if "=?" not in value:
        return value
    return _WORD.sub(_decoded, _BETWEEN.sub(r"\1\2", value))


def _decoded(match: re.Match[str]) -> str:
    charset, encoding, text = match[1].lower(), match[2].lower(), match[3]
    if charset.startswith(_REFUSED):
        return match[0]
    try:
        if encoding == "b":
            data = base64.b64decode(text + "=" * (-len(text) % 4))
        else:
            data = _HEX.sub(lambda pair: bytes([int(pair[1], 16)]), text.replace("_", " ").encode())
        return data.decode(charset, "replace")
    except (LookupError, ValueError, binascii.Error):
        return match[0]


MAX_CONTENT = 2 * 1024 * 1024

MAX_DEPTH = 6

MAX_PARTS = 60

MAX_FIELDS = 300

MAX_VALUE = 4000

MAX_TEXT = 200_000
"""Maximum characters read of a part's text; reports are far shorter."""

_PARAMETER = re.compile(r';\s*([A-Za-z0-9*_-]{1,40})\s*=\s*(?:"([^"]*)"?|([^;\s]*))')

_CHARSET = re.compile(
    r"(?:x-)?(?:utf-?(?:8|16)|us-ascii|ascii|(?:iso|windows|cp|koi8|gb|big5|euc|shift|sjis|ms|ks_c|tis|mac|latin|hz).*)"
)

_TAG = re.compile(r"<(?![^<>\s@]*+@[^<>\s]*+>)[A-Za-z/!?][^<>]*>")

_BREAK = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|/?h[1-6]|/?table|/?pre|/?blockquote)\b[^<>]*>", re.IGNORECASE)

_ENTITY = {"&lt;": "<", "&gt;": ">", "&nbsp;": " ", "&quot;": '"', "&#39;": "'", "&#64;": "@", "&amp;": "&"}

_INVISIBLE = ("style", "script", "title")


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of one header block, names in lower case, values unfolded."""

    pairs: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Return the first value of that lower-case name, "" when there is none."""
        return next((value for key, value in self.pairs if key == name), "")

    def text(self, name: str) -> str:
        """Return the first value with its encoded words decoded (RFC 2047)."""
        return decode_words(self.get(name))

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf part: media type in lower case, its parameters, the header, and the undecoded body."""

    media_type: str
    parameters: Mapping[str, str]
    header: Header
    body: bytes

    def decoded(self) -> bytes:
        """Return the body without its content transfer encoding."""
        return _without_encoding(self.body, self.header.get("content-transfer-encoding").strip().lower())

    def text(self) -> str:
        """Return the body as text with plain line feeds; HTML without its markup."""
        text = _decode(self.decoded()[: 4 * MAX_TEXT], self.parameters.get("charset", ""))[:MAX_TEXT]
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return without_markup(text) if self.media_type == "text/html" else text


def normal_lines(content: bytes) -> bytes:
    """Return the beginning of a mail, up to MAX_CONTENT, with CRLF line ends."""
    # A second CR was added by systems that took CRLF for the end of a line of their own.
    pieces = content[:MAX_CONTENT].replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if pieces.startswith(b"From "):
        pieces = pieces.partition(b"\n")[2]
    return pieces.lstrip(b"\n").replace(b"\n", b"\r\n")


def read_header(content: bytes, start: int = 0, end: int | None = None) -> Header:
    """Return the header block at `start` of content with CRLF line ends."""
    stop = min(headers.body_start(content, start, end), start + 64 * MAX_VALUE)
    found = headers.fields(content, start, stop)[:MAX_FIELDS]
    return Header(tuple((field.name.decode("ascii"), _field_text(field.value(content))) for field in found))


def walk(content: bytes) -> list[Part]:
    """Return the leaves of a mail with CRLF line ends, in order; an enclosed message is a leaf."""
    return list(_walk(content, 0, len(content), 0, [MAX_PARTS]))


def is_closed(content: bytes, header: Header) -> bool:
    """Whether a mail is not a multipart, or has its closing delimiter (RFC 2046 section 5.1.1)."""
    media_type, parameters = _content_type(header.get("content-type"))
    boundary = parameters.get("boundary", "")
    closing = f"--{boundary}--".encode("utf-8", "surrogateescape")
    return not media_type.startswith("multipart/") or not boundary or closing in content


def without_markup(html: str) -> str:
    """Return the text of HTML, one line per block."""
    for name in _INVISIBLE:
        html = _without_element(html, name)
    text = _TAG.sub("", _BREAK.sub("\n", html.replace("\n", " ")))
    for entity, char in _ENTITY.items():
        text = text.replace(entity, char)
    return "\n".join(line.strip() for line in text.split("\n"))


def _walk(content: bytes, start: int, end: int, depth: int, budget: list[int]) -> Iterator[Part]:
    if budget[0] <= 0:
        return

    header = read_header(content, start, end)
    body = headers.body_start(content, start, end)
    media_type, parameters = _content_type(header.get("content-type"))
    boundary = parameters.get("boundary", "")
    if media_type.startswith("multipart/") and boundary and depth < MAX_DEPTH:
        sections = _sections(content, body, end, boundary.encode("utf-8", "surrogateescape"))
        if sections:
            for section_start, section_end in sections:
                yield from _walk(content, section_start, section_end, depth + 1, budget)
            return

    budget[0] -= 1
    type_shown = "text/plain" if media_type.startswith("multipart/") else media_type
    yield Part(type_shown, parameters, header, content[body:end])


def _sections(content: bytes, start: int, end: int, boundary: bytes) -> list[tuple[int, int]]:
    """Return the ranges between the delimiter lines (RFC 2046 section 5.1.1); the last may be unterminated."""
    delimiter = b"--" + boundary
    found: list[tuple[int, int]] = []
    opened = -1

    at = content.find(delimiter, start, end)
    while at >= 0 and len(found) < MAX_PARTS:
        line_end = content.find(b"\r\n", at, end)
        after = end if line_end < 0 else line_end + 2
        rest = content[at + len(delimiter) : after].strip()
        if (at == start or content[at - 1 : at] == b"\n") and rest in (b"", b"--"):
            if opened >= 0:
                found.append((opened, max(opened, at - 2)))
            opened = -1 if rest else after
            if rest:
                break
        at = content.find(delimiter, after, end)

    if 0 <= opened < end and len(found) < MAX_PARTS:
        found.append((opened, end))

    return found


def _content_type(value: str) -> tuple[str, dict[str, str]]:
    media_type = value.partition(";")[0].strip().lower() or "text/plain"
    parameters: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(value[:2000]):
        parameters.setdefault(name.lower(), quoted or bare)
    return media_type, parameters


def _field_text(value: bytes) -> str:
    return _decode(value[:MAX_VALUE], "")


def _without_encoding(body: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return quopri.decodestring(body)
    if encoding == "base64":
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
        try:
            return base64.b64decode(letters[: len(letters) // 4 * 4] + _last_group(letters))
        except binascii.Error:
            return body
    return body


def _last_group(letters: bytes) -> bytes:
    """Pad the last group of base64 letters; a single letter is dropped, because it encodes no octet."""
    rest = letters[len(letters) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _decode(data: bytes, charset: str) -> str:
    name = charset.strip().lower()
    if _CHARSET.fullmatch(name):
        try:
            return data.decode(name, "replace")
        except (LookupError, ValueError):
            pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _without_element(html: str, name: str) -> str:
    pieces: list[str] = []
    low = html.lower()
    if len(low) != len(html):
        return html

    at = 0
    while (start := low.find(f"<{name}", at)) >= 0:
        pieces.append(html[at:start])
        end = low.find(f"</{name}", start)
        if end < 0:
            return "".join(pieces)
        at = end

    pieces.append(html[at:])
    return "".join(pieces)

"""Lines of a header: folds those over 998 octets, finds those that are no field (RFC 5322 sections 2.1.1, 2.2). Pure.

Content has CRLF line ends.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from relay.mail.headers import Field, body_start

LINE_LIMIT = 998
"""Octets of a line without its CRLF, at most (RFC 5321 section 4.5.3.1.6)."""

_MBOX_LINES = re.compile(rb"(?>(?:>?From (?![ \t]*:)[^\r\n]*+\r\n(?>(?:[ \t][^\r\n]*+\r\n)*))+)")
"""Lines that mbox files have between two messages (RFC 4155), with lines that continue them."""

_DATED_MBOX_LINES = re.compile(
    rb"(?<=\r\n)>?From [^\r\n ]{1,320} {1,2}(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) "
    rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    rb"[ 0-9]\d? [0-9:]{5,8} [^\r\n]{0,80}\r\n(?>(?:[ \t][^\r\n]*+\r\n)*)"
)
"""Such lines behind a field, as programs leave them that put fields in front: only with a date."""

_BLANK = re.compile(rb"[ \t]")

_NAME = re.compile(rb"[!-9;-~]+[ \t]*:[ \t]*")

_QUOTED = re.compile(rb'"(?>[^"\\]++|\\.)*+"?', re.DOTALL)

_SHOWN = 60
"""Octets of a faulty line that a reply shows."""


def without_mbox_lines(content: bytes) -> bytes:
    """Return the message without the "From " lines of an mbox in its header, the same object when there are none."""
    if content.startswith((b"From ", b">From ")) and (found := _MBOX_LINES.match(content)) is not None:
        content = content[found.end() :]
    end = body_start(content)
    if content.find(b"From ", 0, end) < 0:
        return content
    header = _DATED_MBOX_LINES.sub(b"", content[:end])
    return content if len(header) == end else header + content[end:]


def stray_line(content: bytes, found: Sequence[Field]) -> int | None:
    """Return the offset of the first line of the header that is no field, None when there is none."""
    at = 0
    for field in found:
        if field.start != at:
            return at
        at = field.end
    if content.startswith(b"\r\n", at):  # The empty line that ends the header.
        return None
    stop = body_start(content)
    return at if at < stop and content[at:stop] != b"\r\n" else None


def with_header_end(content: bytes, found: Sequence[Field]) -> bytes:
    """Return the message with an empty line before its first line that is no field, where other servers see its body.

    Content that begins with such a line stays, and so does content without one.
    """
    at = stray_line(content, found)
    return content[:at] + b"\r\n" + content[at:] if at else content


def line_fault(content: bytes, found: Sequence[Field], kept: Iterable[Field], at: int | None) -> str:
    """Return the fault of the lines of the header, "" for none. `at` is where its first line without a field begins.

    `found` are all fields, `kept` those that leave: a line of these over 998 octets must have a blank to be folded at.
    A line that is no field begins the body if no field follows, or a delimiter of MIME parts before one. Content that
    begins with a blank has no header.
    """
    if at is not None and not content.startswith((b" ", b"\t")):
        following = next((field.start for field in found if field.start > at), None)
        if at == 0 or (following is not None and b"\n--" not in content[max(at - 1, 0) : following]):
            return _no_field(content, at)

    for field in kept:
        if field.end - field.start > LINE_LIMIT and not _can_be_folded(content[field.start : field.end]):
            name = field.name.decode("ascii")
            return (
                f"The field {name} has a line of more than {LINE_LIMIT} octets without a blank to fold it at "
                "(RFC 5322 section 2.1.1)"
            )
    return ""


def _can_be_folded(field: bytes) -> bool:
    """Whether `fold` returns a field. Takes no more than a search in each line: the event loop runs it."""
    return all(_has_blanks(line) for line in field.split(b"\r\n") if len(line) > LINE_LIMIT)


def _has_blanks(line: bytes) -> bool:
    """Whether the line has a blank to fold it at within each LINE_LIMIT octets."""
    end = len(line.rstrip(b" \t"))
    start = 0
    while len(line) - start > LINE_LIMIT:
        stop = min(start + LINE_LIMIT + 1, end)
        start, before = max(line.rfind(blank, start, stop) for blank in (b" ", b"\t")), start
        if start <= before or not line[before:start].strip(b" \t"):
            return False
    return True


def _has_long_line(field: bytes) -> bool:
    return any(len(line) > LINE_LIMIT for line in field.split(b"\r\n"))


def fold_fields(content: bytes, found: Iterable[Field]) -> bytes:
    """Return the message with the lines over 998 octets of these fields folded at blanks that are there.

    A line that cannot be folded stays. Without a change, the same object is returned.
    """
    pieces: list[bytes] = []
    at = 0
    for field in found:
        if field.end - field.start <= LINE_LIMIT:
            continue
        raw = content[field.start : field.end]
        folded = fold(raw)
        if folded is not None and folded != raw:
            pieces += (content[at : field.start], folded)
            at = field.end
    return b"".join((*pieces, content[at:])) if pieces else content


def fold(field: bytes) -> bytes | None:
    """Return a field with no line over 998 octets, None when a line has no blank to fold it at.

    Only CRLFs are inserted. Blanks outside quoted strings are preferred, and none right behind the name is used unless
    there is no other.
    """
    if not _has_long_line(field):
        return field

    lines = field.split(b"\r\n")
    quoted = [found.span() for found in _QUOTED.finditer(field)]
    folded: list[bytes] = []
    start = 0
    for line in lines:
        pieces = list(_folded(line, [(a - start, b - start) for a, b in quoted])) if len(line) > LINE_LIMIT else [line]
        if max(map(len, pieces)) > LINE_LIMIT:
            return None
        folded += pieces
        start += len(line) + 2
    return b"\r\n".join(folded)


def _folded(line: bytes, quoted: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the pieces of a line. The last one is longer than the limit when there is no blank."""
    blanks = [found.start() for found in _BLANK.finditer(line, 0, len(line.rstrip(b" \t")))]
    name = _NAME.match(line)
    inside = blanks[bisect_right(blanks, name.end()) :] if name else blanks
    choices = list(_outside(inside, quoted)), inside, blanks
    start = 0
    while len(line) - start > LINE_LIMIT:
        cut = next(filter(None, (_last_cut(line, start, one) for one in choices)), 0)
        if not cut:
            break
        yield line[start:cut]
        start = cut
    yield line[start:]


def _outside(offsets: Iterable[int], ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Yield the offsets outside of all ranges; both are in order."""
    following = iter(ranges)
    first, end = next(following, (0, 0))
    for at in offsets:
        while end <= at and (found := next(following, None)) is not None:
            first, end = found
        if not first <= at < end:
            yield at


def _last_cut(line: bytes, start: int, offsets: Sequence[int]) -> int:
    """Return the last of these offsets within the limit, 0 unless it is behind a character that is no blank."""
    number = bisect_right(offsets, start + LINE_LIMIT)
    at = offsets[number - 1] if number else 0
    return at if line[start:at].strip(b" \t") else 0


def _no_field(content: bytes, at: int) -> str:
    line = content[at : at + _SHOWN].partition(b"\r\n")[0]
    shown = ascii(line.decode("utf-8", "replace"))[1:-1]
    return f'The header has a line that is no field: "{shown}"; an empty line ends the header (RFC 5322 section 2.2)'

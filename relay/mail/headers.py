"""Header fields as byte ranges of a message (RFC 5322 section 2.2). Nothing is ever re-serialised.

All functions expect CRLF line ends, as every stored message has them.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from relay.mail.native import IS_COMPILED, native

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")

_FOLD = re.compile(rb"\r?\n(?=[ \t])")


class Field(NamedTuple):
    """One header field: its name in lower case and the range of its bytes, the final CRLF included."""

    name: bytes
    start: int
    end: int
    value_start: int

    def raw(self, content: bytes) -> bytes:
        """Return the whole field with its line end."""
        return content[self.start : self.end]

    def value(self, content: bytes) -> bytes:
        """Return the unfolded value without surrounding white space."""
        return unfold(content[self.value_start : self.end])


def unfold(value: bytes) -> bytes:
    """Remove folds (RFC 5322 section 2.2.3) and surrounding white space."""
    stripped = value.strip()
    return _FOLD.sub(b"", stripped) if b"\n" in stripped else stripped


def body_start(content: bytes, start: int = 0, end: int | None = None) -> int:
    """Return the offset after the first empty line, or the end if there is none."""
    stop = len(content) if end is None else end
    if content.startswith(b"\r\n", start):
        return min(start + 2, stop)
    at = content.find(b"\r\n\r\n", start, stop)
    return stop if at < 0 else at + 4


def count_fields(content: bytes, stop: int) -> int:
    """Return the number of lines before the body at `stop` that continue no other line: at least that of the fields.

    Faster than `fields`, because it makes no objects.
    """
    header = content[:stop].removesuffix(b"\r\n\r\n").removesuffix(b"\r\n")
    starts = header.count(b"\r\n") - header.count(b"\r\n ") - header.count(b"\r\n\t")
    return starts + 1 if header else 0


def header_fault(content: bytes, max_size: int, max_fields: int) -> str:
    """Return why the header of a message is too large, "" if it is not. `max_size` is in octets.

    It bounds the time that every later step spends on the header, and takes time linear in `max_size`.
    """
    stop = body_start(content, 0, min(len(content), max_size + 1))
    if stop > max_size:
        return f"The header of the message is larger than the {max_size} octets allowed here"
    # A count of octets first: it is fast, and enough for nearly all.
    if content.count(b"\n", 0, stop) >= max_fields and count_fields(content, stop) > max_fields:
        return f"The header of the message has more than the {max_fields} fields allowed here"
    return ""


def fields(content: bytes, start: int = 0, end: int | None = None) -> list[Field]:
    """Return the fields of the header block at `start`, in order.

    A line that is neither a field nor a continuation is skipped.
    """
    stop = body_start(content, start, end)
    if IS_COMPILED:
        return native.header_fields(content, start, stop, Field)
    return read_fields(content, start, stop)


def read_fields(content: bytes, start: int, stop: int) -> list[Field]:
    """Return the fields between these offsets (Python twin of `_native.header_fields`)."""
    found: list[Field] = []
    at = start
    while at < stop:
        line_end = content.find(b"\r\n", at, stop)
        line_end = stop if line_end < 0 else line_end + 2
        while line_end < stop and content[line_end : line_end + 1] in (b" ", b"\t"):
            next_end = content.find(b"\r\n", line_end, stop)
            line_end = stop if next_end < 0 else next_end + 2
        match = _FIELD.match(content, at, line_end)
        if match is not None:
            found.append(Field(match[1].lower(), at, line_end, match.end()))
        at = line_end

    return found


def by_name(found: Iterable[Field]) -> dict[bytes, list[Field]]:
    """Return the fields by their lower-case name, those of one name in order."""
    groups: dict[bytes, list[Field]] = {}
    for field in found:
        groups.setdefault(field.name, []).append(field)
    return groups


def named(found: Iterable[Field], name: bytes) -> Iterator[Field]:
    """Yield the fields of that lower-case name, in order."""
    return (field for field in found if field.name == name)


def first_value(content: bytes, found: Iterable[Field], name: bytes) -> bytes | None:
    """Return the unfolded value of the first field of that name, None when there is none."""
    field = next(named(found, name), None)
    return None if field is None else field.value(content)


def first_text(content: bytes, found: Iterable[Field], name: bytes) -> str:
    """Return the unfolded value of the first field of that name as text, "" when there is none."""
    return (first_value(content, found, name) or b"").decode("utf-8", "replace")


def without(content: bytes, removed: Iterable[Field]) -> bytes:
    """Return the content without these fields; all other bytes are unchanged."""
    kept: list[bytes] = []
    at = 0
    for field in removed:
        kept.append(content[at : field.start])
        at = field.end
    kept.append(content[at:])
    return b"".join(kept)

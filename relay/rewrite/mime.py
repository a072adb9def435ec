"""Parses the MIME structure of a message (RFC 2046)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from relay.frozen import dataclass
from relay.mail.headers import Field, body_start, fields, named
from relay.mail.native import IS_COMPILED, native
from relay.rewrite.mime_parameters import Parameterised, parse

MAX_DEPTH = 20
"""Levels of nested parts, at most."""

MAX_PARTS = 500
"""Parts of a message, at most."""

IDENTITY_ENCODINGS = frozenset({"7bit", "8bit", "binary"})
"""Transfer encodings that do not change the body."""

_ENCLOSED = frozenset({"message/rfc822", "message/global", "message/news"})
"""Content types of enclosed messages."""

_CONTENT_TYPE = re.compile(r"[!-.0-~]+/[!-.0-~]+")

_DELIMITER_TAIL = re.compile(rb"(--)?[ \t]*+(?:\r?\n|\Z)")

_BARE_LINE_END = re.compile(rb"(?<!\r)\n(?![ \t])|\r(?!\n)")
"""A line end that other parsers may read as the end of a field. All parsers agree about a folded line."""

_FOLD = re.compile(rb"\r?\n[ \t]++")
"""A fold with all white space after it."""

_READ = frozenset({b"content-type", b"content-transfer-encoding", b"content-disposition"})
"""Fields that decide how a part is read."""

_NO_VALUE = Parameterised("", {})


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message: its header block at `start`, its body from `body` to `end`."""

    path: str
    """Section number as in IMAP, such as "2.1"."""
    start: int
    body: int
    end: int
    fields: tuple[Field, ...]
    content_type: str
    parameters: Parameterised
    encoding: str
    disposition: Parameterised
    parents: tuple[str, ...] = ()
    """Content types of the enclosing parts, outermost first."""
    first: bool = True
    """Whether it is the first of its siblings."""
    related_root: str = ""
    """Content-ID of the root that a multipart/related parent names."""
    fault: str = ""
    """Why the structure is ambiguous, "" when it is not."""
    is_leaf: bool = True

    def value(self, content: bytes, name: bytes) -> bytes | None:
        """Return the unfolded value of the first field of that lower-case name, None when there is none."""
        field = next(named(self.fields, name), None)
        return None if field is None else field.value(content)

    @property
    def charset(self) -> str:
        """The declared charset in lower case, "us-ascii" when none is."""
        return self.parameters.parameters.get("charset", "").strip(" \t\"'").lower() or "us-ascii"

    @property
    def is_enclosed(self) -> bool:
        """Whether the part is inside an enclosed message."""
        return any(parent.startswith("message/") for parent in self.parents)


@dataclass(frozen=True, slots=True)
class _Position:
    """Position of a part in its message."""

    path: str = ""
    parents: tuple[str, ...] = ()
    default_type: str = "text/plain"
    first: bool = True
    related_root: str = ""


def walk(content: bytes) -> list[Part]:
    """Return all parts of the message in order, every container before its children.

    The walk ends after MAX_PARTS parts and below MAX_DEPTH levels. The last part then has the fault.
    """
    parts: list[Part] = []
    for part in _walk(content, 0, len(content), _Position()):
        parts.append(part)
        if len(parts) > MAX_PARTS:
            break
    return parts


def _walk(content: bytes, start: int, end: int, position: _Position) -> Iterator[Part]:
    part = _read(content, start, end, position)
    if part.is_leaf or part.fault:
        yield part
        return
    if len(position.parents) >= MAX_DEPTH:
        yield _with_fault(part, "nested too deeply")
        return

    parents = (*part.parents, part.content_type)
    if part.content_type in _ENCLOSED:
        yield part
        yield from _walk(content, part.body, part.end, _Position(part.path, parents))
        return

    ranges = _children(content, part)
    if not ranges:
        yield _with_fault(part, "boundary never found")
        return
    others = _other_boundaries(content, part)
    if others and any(_find(content, _delimiter(one), part.body - 1, part.end) >= 0 for one in others):
        yield _with_fault(part, "multipart with a folded boundary")
        return

    yield part
    prefix = f"{part.path}." if part.path else ""
    default = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
    root = part.parameters.parameters.get("start", "") if part.content_type == "multipart/related" else ""
    for number, (child_start, child_end) in enumerate(ranges, 1):
        child = _Position(f"{prefix}{number}", parents, default, number == 1, root)
        yield from _walk(content, child_start, child_end, child)


def _read(content: bytes, start: int, end: int, position: _Position) -> Part:
    """Return the part whose header block begins at `start`."""
    body = body_start(content, start, end)
    found = fields(content, start, body)
    read = [field for field in found if field.name in _READ]
    types = [field.value(content) for field in read if field.name == b"content-type"]
    encodings = [field.value(content) for field in read if field.name == b"content-transfer-encoding"]
    dispositions = [field.value(content) for field in read if field.name == b"content-disposition"]

    declared = parse(types[0]) if types else _NO_VALUE
    well_formed = _CONTENT_TYPE.fullmatch(declared.value) is not None
    content_type = declared.value if well_formed else position.default_type
    encoding = (parse(encodings[0]).value if encodings else "") or "7bit"

    fault = _header_fault(content, found, start, body)
    fault = fault or _field_fault(types, encodings, is_clear=well_formed and declared.clear)
    is_container = content_type.startswith("multipart/")
    if is_container:
        fault = fault or _container_fault(declared, encoding)

    return Part(
        path=position.path or ("" if is_container else "1"),
        start=start,
        body=body,
        end=end,
        fields=tuple(found),
        content_type=content_type,
        parameters=declared,
        encoding=encoding,
        disposition=parse(dispositions[0]) if dispositions else _NO_VALUE,
        parents=position.parents,
        first=position.first,
        related_root=position.related_root,
        fault=fault,
        is_leaf=not (is_container or (content_type in _ENCLOSED and encoding in IDENTITY_ENCODINGS)),
    )


def _field_fault(types: Sequence[bytes], encodings: Sequence[bytes], *, is_clear: bool) -> str:
    """Return the fault of the fields that name type and encoding, "" for none."""
    if len(types) > 1:
        return "Content-Type given twice"
    if types and not is_clear:
        return "Content-Type not understood"
    return "Content-Transfer-Encoding given twice" if len(encodings) > 1 else ""


def _container_fault(declared: Parameterised, encoding: str) -> str:
    """Return the fault of the header of a multipart, "" for none."""
    if not declared.parameters.get("boundary", ""):
        return "multipart without a boundary"
    return "" if encoding in IDENTITY_ENCODINGS else "multipart with a transfer encoding"


def _header_fault(content: bytes, found: list[Field], start: int, body: int) -> str:
    """Return the fault of a header block, "" for none: a line that is no field, or a line end that is no CRLF."""
    block = content[start:body]
    crlf = block.count(b"\r\n")
    if not block.count(b"\n") == crlf == block.count(b"\r") and _BARE_LINE_END.search(block):
        return "a header with bare line ends"

    at = start
    for field in found:
        if field.start != at:
            return "a header line that is not a field"
        at = field.end
    if at == body or content[at:body] == b"\r\n":
        return ""
    return "a header line that is not a field"


def _other_boundaries(content: bytes, part: Part) -> set[str]:
    """Return what parsers read as the boundary that remove the white space of a fold, or make it one blank."""
    field = next(named(part.fields, b"content-type"))
    value = content[field.value_start : field.end - 2]
    if b"\n" not in value:
        return set()
    readings = {parse(_FOLD.sub(blank, value)).parameters.get("boundary", "") for blank in (b"", b" ")}
    return readings - {part.parameters.parameters["boundary"], ""}


def _delimiter(boundary: str) -> bytes:
    return b"\n--" + boundary.encode("latin-1", "replace").rstrip(b" \t")


def _find(content: bytes, delimiter: bytes, start: int, end: int) -> int:
    """Return where the next delimiter line begins, -1 without one. The compiled function looks for the rare dashes."""
    if IS_COMPILED:
        return native.find_delimiter(content, delimiter, start, end)
    return content.find(delimiter, start, end)


def _children(content: bytes, part: Part) -> list[tuple[int, int]]:
    """Return the ranges between the delimiter lines of a multipart (RFC 2046 section 5.1.1).

    Without a closing delimiter the last part reaches to the end.
    """
    delimiter = _delimiter(part.parameters.parameters["boundary"])
    ranges: list[tuple[int, int]] = []
    child = -1
    at = part.body - 1
    while len(ranges) <= MAX_PARTS:
        at = _find(content, delimiter, at, part.end)
        if at < 0:
            break
        tail = _DELIMITER_TAIL.match(content, at + len(delimiter), part.end)
        if tail is None:
            at += len(delimiter)
            continue

        if child >= 0:
            stop = at - 1 if content[at - 1 : at] == b"\r" else at
            ranges.append((child, max(stop, child)))
        child = tail.end()
        if tail[1]:
            return ranges
        at = tail.end() - 1

    if child >= 0:
        ranges.append((child, max(part.end, child)))
    return ranges


def _with_fault(part: Part, fault: str) -> Part:
    return replace(part, fault=fault, is_leaf=True)

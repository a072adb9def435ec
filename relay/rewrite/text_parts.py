"""Text parts: decoded, readable as ASCII, and spliced in their own transfer encoding."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from relay.frozen import dataclass
from relay.rewrite.eligibility import readable
from relay.rewrite.encoding import (
    BASE64,
    QUOTED_PRINTABLE,
    QuotedPrintable,
    base64_line,
    decode,
    encode_base64,
    has_long_line,
    quote,
    reencoded,
)
from relay.rewrite.mime import Part


class Splice(NamedTuple):
    """A range to replace: by the tracking URL of `target`, or by another text when `target` is None."""

    start: int
    end: int
    target: str | None = None
    width: int = 0
    """Octets of the range in the decoded text."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """The splices of one part, in order."""

    part: Part
    splices: tuple[Splice, ...]
    """Offsets are those of the content, for a base64 part those of `decoded`."""
    decoded: bytes | None = None
    """The decoded text of a base64 part, None for all others."""
    size: int = 0
    """Octets of the decoded text."""

    @property
    def widths(self) -> tuple[int, ...]:
        """The octets that each splice replaces in the decoded text."""
        return tuple(splice.width for splice in self.splices)


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part that may be rewritten: decoded, and readable as ASCII."""

    part: Part
    decoded: bytes
    readable: bytes
    quoted: QuotedPrintable | None


def decode_text_part(content: bytes, part: Part) -> tuple[TextPart | None, str]:
    """Return the decoded part; or None, and why it cannot be read."""
    body = content[part.body : part.end]
    quoted = QuotedPrintable(body) if part.encoding == QUOTED_PRINTABLE else None
    decoded = quoted.decoded if quoted is not None else decode(part.encoding, body)
    if decoded is None:
        return None, f"is not clean {part.encoding}"
    text, reason = readable(decoded, part.charset)
    return (None, reason) if reason else (TextPart(part, decoded, text, quoted), "")


def plan_part(text: TextPart, splices: list[Splice]) -> PartPlan:
    """Return the plan of a part. Except for base64, offsets are moved from the decoded text to the content."""
    part, size = text.part, len(text.decoded)
    if part.encoding == BASE64:
        return PartPlan(part, tuple(splices), text.decoded, size)
    if text.quoted is None:
        moved = [splice._replace(start=splice.start + part.body, end=splice.end + part.body) for splice in splices]
        return PartPlan(part, tuple(moved), size=size)
    moved = []
    for splice in splices:
        end = part.body + text.quoted.end_of(splice.end)
        start = end if splice.start == splice.end else part.body + text.quoted.start_of(splice.start)
        moved.append(splice._replace(start=start, end=end))
    return PartPlan(part, tuple(moved), size=size)


def splice_part(content: bytes, plan: PartPlan, texts: Sequence[bytes | None]) -> tuple[bytes, bytes]:
    """Return header block and body of the part with the texts that are not None.

    The part is encoded anew if a line is too long.
    """
    part = plan.part
    header, body = content[part.start : part.body], content[part.body : part.end]
    kept = [(splice, text) for splice, text in zip(plan.splices, texts, strict=True) if text is not None]
    if not kept:
        return header, body
    body = _spliced(content, replace(plan, splices=tuple(splice for splice, _ in kept)), [text for _, text in kept])
    if has_long_line(body) and part.encoding not in (BASE64, QUOTED_PRINTABLE):
        return reencoded(part, header, body)
    return header, body


def _spliced(content: bytes, plan: PartPlan, texts: list[bytes]) -> bytes:
    """Return the body of the part with the texts spliced in, in its own transfer encoding."""
    part = plan.part
    if plan.decoded is not None:
        encoded = content[part.body : part.end]
        ending = b"\r\n" if encoded.endswith(b"\r\n") else b""
        decoded = _joined(plan.decoded, 0, len(plan.decoded), plan.splices, texts)
        return encode_base64(decoded, base64_line(encoded)) + ending
    if part.encoding == QUOTED_PRINTABLE:
        texts = _quoted(content, plan, texts)
    return _joined(content, part.body, part.end, plan.splices, texts)


def _joined(source: bytes, start: int, end: int, splices: tuple[Splice, ...], texts: list[bytes]) -> bytes:
    pieces: list[bytes] = []
    for splice, text in zip(splices, texts, strict=True):
        pieces += (source[start : splice.start], text)
        start = splice.end
    pieces.append(source[start:end])
    return b"".join(pieces)


def _quoted(content: bytes, plan: PartPlan, texts: list[bytes]) -> list[bytes]:
    """Return the texts in quoted-printable, with soft breaks that fit the lines around them."""
    quoted: list[bytes] = []
    at, column = plan.part.body, 0
    for splice, text in zip(plan.splices, texts, strict=True):
        line_start = content.rfind(b"\n", at, splice.start) + 1
        column = splice.start - line_start if line_start else column + splice.start - at
        line_end = content.find(b"\r\n", splice.end, plan.part.end)
        rest = (plan.part.end if line_end < 0 else line_end) - splice.end
        encoded, column = quote(text, column, rest)
        quoted.append(encoded)
        at = splice.end
    return quoted

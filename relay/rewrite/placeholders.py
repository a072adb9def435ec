"""Finds and replaces the placeholders of unsubscribe links in the text parts of a message."""

from collections.abc import Iterator, Sequence

from relay.frozen import dataclass
from relay.mail.headers import named
from relay.rewrite.eligibility import skip_message_reason, skip_part_reason
from relay.rewrite.encoding import BASE64, decode
from relay.rewrite.fast_path import holds_name
from relay.rewrite.mime import Part
from relay.rewrite.placeholder_spellings import placeholder_ranges
from relay.rewrite.text_parts import Splice, TextPart, decode_text_part, plan_part, splice_part


@dataclass(frozen=True, slots=True)
class Placeholders:
    """The placeholders of one message."""

    found: bool = False
    """Whether there is one that can be replaced."""
    kept: tuple[str, ...] = ()
    """Why the others stay as they are."""


def find_placeholders(content: bytes, parts: Sequence[Part]) -> Placeholders:
    """Return whether the text parts of a message, or its List-Unsubscribe, have placeholders."""
    holding = [part for part in parts if _is_text(part) and may_hold_placeholder(content, part)]
    in_header = any(True for _ in _header_ranges(content, parts[0]))
    if not holding and not in_header:
        return Placeholders()

    reason = skip_message_reason(list(parts))
    found, kept = in_header and not reason, [f"message {reason}"] if reason and in_header else []
    for part in holding:
        text, why = _readable_part(content, part)
        if text is None:
            kept += [f"part {part.path} {why}"] if _holds_somewhere(content, part) else []
        elif placeholder_ranges(text.readable):
            found = found or not reason
            kept += [f"message {reason}"] if reason else []
    return Placeholders(found, tuple(dict.fromkeys(kept)))


def replace_placeholders(content: bytes, parts: Sequence[Part], url: bytes) -> tuple[bytes, int]:
    """Return the message with this URL in the place of its placeholders, and their number."""
    if skip_message_reason(list(parts)):
        return content, 0
    pieces: list[bytes] = []
    at = count = 0

    for start, end in _header_ranges(content, parts[0]):
        pieces += (content[at:start], url)
        at, count = end, count + 1
    for part in parts:
        if not (_is_text(part) and may_hold_placeholder(content, part)):
            continue
        text, _ = _readable_part(content, part)
        ranges = placeholder_ranges(text.readable) if text else []
        if text is None or not ranges:
            continue
        plan = plan_part(text, [Splice(start, end) for start, end in ranges])
        pieces += (content[at : part.start], *splice_part(content, plan, [url] * len(ranges)))
        at, count = part.end, count + len(ranges)

    pieces.append(content[at:])
    return b"".join(pieces) if count else content, count


def may_hold_placeholder(content: bytes, part: Part) -> bool:
    """Whether a text part has the name of a placeholder. This is quick, and true for few other texts."""
    if part.encoding != BASE64:
        return holds_name(content, part.body, part.end)
    return holds_name(decode(BASE64, content[part.body : part.end]) or b"")


def _header_ranges(content: bytes, root: Part) -> Iterator[tuple[int, int]]:
    """Yield the ranges of placeholders in the List-Unsubscribe fields."""
    for field in named(root.fields, b"list-unsubscribe"):
        for start, end in placeholder_ranges(content[field.value_start : field.end]):
            yield field.value_start + start, field.value_start + end


def _holds_somewhere(content: bytes, part: Part) -> bool:
    """Whether the decoded part has a placeholder, though the part may not be changed."""
    decoded = decode(part.encoding, content[part.body : part.end])
    return decoded is not None and bool(placeholder_ranges(decoded))


def _is_text(part: Part) -> bool:
    return part.is_leaf and part.content_type in ("text/html", "text/plain")


def _readable_part(content: bytes, part: Part) -> tuple[TextPart | None, str]:
    """Return the part decoded; or None, and why it may not be changed."""
    reason = skip_part_reason(content, part)
    return (None, reason) if reason else decode_text_part(content, part)

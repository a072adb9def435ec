"""Replaces texts that an application named: one by the open pixel, another by the URL of the unsubscribe page. Pure.

SendGrid's filters "opentrack" and "subscriptiontrack" have such a text.
"""

from collections.abc import Callable, Iterator, Sequence

from relay.rewrite.eligibility import skip_message_reason, skip_part_reason
from relay.rewrite.mime import Part
from relay.rewrite.text_parts import Splice, decode_text_part, plan_part, splice_part

_RAW = (b"script", b"style", b"title", b"textarea", b"template", b"noscript", b"xmp", b"iframe", b"svg", b"math")
"""Elements whose content is no text of the page, or that would hide a pixel."""


def replace_text(content: bytes, parts: Sequence[Part], text: str, new: bytes) -> tuple[bytes, int]:
    """Return the message with the new text in the place of each occurrence in a text part, and their number."""
    return _replace(content, parts, ("text/html", "text/plain"), lambda body: _occurrences(body, text), [new])


def place_pixel(content: bytes, parts: Sequence[Part], text: str, pixel: bytes) -> tuple[bytes, int]:
    """Return the message with the pixel in the place of the first occurrence in the text of the page, and their number.

    The others are removed. Occurrences in tags, comments and scripts stay: a pixel there would break the page.
    """
    return _replace(content, parts, ("text/html",), lambda body: _in_page(body, text), [pixel, b""])


def _replace(
    content: bytes,
    parts: Sequence[Part],
    content_types: Sequence[str],
    find: Callable[[bytes], Iterator[tuple[int, int]]],
    new: Sequence[bytes],
) -> tuple[bytes, int]:
    """Put the first new text in the place of the first range, and the last one in that of the others."""
    if skip_message_reason(list(parts)):
        return content, 0
    pieces: list[bytes] = []
    at = count = 0
    for part in parts:
        if not part.is_leaf or part.content_type not in content_types or skip_part_reason(content, part):
            continue
        decoded, _ = decode_text_part(content, part)
        ranges = list(find(decoded.readable)) if decoded else []
        if decoded is None or not ranges:
            continue
        texts = [new[0] if number == 0 else new[-1] for number in range(count, count + len(ranges))]
        plan = plan_part(decoded, [Splice(start, end) for start, end in ranges])
        pieces += (content[at : part.start], *splice_part(content, plan, texts))
        at, count = part.end, count + len(ranges)

    pieces.append(content[at:])
    return b"".join(pieces) if count else content, count


def _occurrences(body: bytes, text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    wanted = text.encode("utf-8")
    at = body.find(wanted, start, end)
    while at >= 0:
        yield at, at + len(wanted)
        at = body.find(wanted, at + len(wanted), end)


def _in_page(body: bytes, text: str) -> Iterator[tuple[int, int]]:
    for start, end in _page_text(body):
        yield from _occurrences(body, text, start, end)


def _page_text(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield the ranges between tags and comments; linear, and to the first one that does not end."""
    lower = body.lower()
    at = 0
    while True:
        opened = lower.find(b"<", at)
        yield at, len(lower) if opened < 0 else opened
        if opened < 0:
            return
        at = _after_markup(lower, opened)
        if at < 0:
            return


def _after_markup(lower: bytes, opened: int) -> int:
    """Return the offset after the tag, comment or raw element that begins here; -1 if it does not end."""
    if lower.startswith(b"<!--", opened):
        return _after(lower, b"-->", opened + 4)
    if not lower[opened + 1 : opened + 2].isalpha() and lower[opened + 1 : opened + 2] not in (b"/", b"!", b"?"):
        return opened + 1
    name = next((one for one in _RAW if lower.startswith(one, opened + 1)), b"")
    if name and not lower[opened + 1 + len(name) : opened + 2 + len(name)].isalnum():
        return _after(lower, b"</" + name, opened)
    return _after_tag(lower, opened + 1)


def _after_tag(lower: bytes, at: int) -> int:
    """Return the offset after the `>` of a tag. One in a quoted attribute value does not end it."""
    while True:
        end = lower.find(b">", at)
        quotes = [found for quote in (b'"', b"'") if (found := lower.find(quote, at, max(end, at))) >= 0]
        if end < 0 or not quotes:
            return end + 1 if end >= 0 else -1
        first = min(quotes)
        closed = lower.find(lower[first : first + 1], first + 1)
        if closed < 0:
            return -1
        at = closed + 1


def _after(lower: bytes, ending: bytes, start: int) -> int:
    found = lower.find(ending, start)
    return -1 if found < 0 else found + len(ending)

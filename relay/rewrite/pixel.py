"""Finds the position of the pixel: in the body, outside of every element that would hide or move the pixel."""

import re
from collections.abc import Sequence

from relay.rewrite.html_tags import CONDITIONAL, END, Tag, content_start, formatting_tags

SURELY_CLOSED = frozenset(
    b"a applet button details dialog marquee math object select svg table template".split(),
)
"""Fragile elements that their end tag closes."""

NEVER_SURELY_CLOSED = frozenset(b"audio noscript option picture video".split())
"""Fragile elements whose end tag is ignored while another element is open inside. They count as open to the end."""

_FRAGILE = SURELY_CLOSED | NEVER_SURELY_CLOSED
"""Elements that must not enclose the pixel: it would be moved out, hidden, or part of a link."""

SCOPES = frozenset(b"applet marquee math object svg table template".split())
"""Elements whose content an end tag outside cannot close (HTML standard, section 13.2.4.2)."""

_DROPS_FIRST_NEWLINE = re.compile(rb"<(?:pre|listing)(?=[\t\n\f\r />])[^<>]*+>\Z")
"""A start tag that drops the line end after it."""

_MAX_TAG = 400
"""Octets before the end of the text in which such a tag is searched."""

_MAX_COMPARED = 64
"""Open elements that an end tag is compared with, at most, so that hostile nesting costs no quadratic time."""

_ALLOWED_IN_HEAD = frozenset({b"noscript", b"template", b"script"})
"""Fragile elements that the head may contain."""


class _OpenElements:
    """The fragile elements open at a position, outermost first, as (name, start of its tag).

    Where tags alone do not decide, an element counts as open. The pixel then gets an earlier position, which works as
    well.
    """

    def __init__(self) -> None:
        self.elements: list[tuple[bytes, int]] = []

    def open(self, name: bytes, start: int) -> None:
        """Add the element of a start tag. Of nested `a` elements only the outermost is kept."""
        if name != b"a" or all(other != b"a" for other, _ in self.elements[-_MAX_COMPARED:]):
            self.elements.append((name, start))

    def close(self, name: bytes) -> None:
        """Remove the innermost element of that name, where its end tag surely closes it."""
        if name not in SURELY_CLOSED:
            return
        innermost = len(self.elements)
        for position in range(innermost - 1, max(innermost - _MAX_COMPARED, 0) - 1, -1):
            other = self.elements[position][0]
            if other == name:
                del self.elements[position:]
                return
            if other in (b"a", b"template") or name == b"a":
                return
            if other in SCOPES and name not in (b"table", b"template"):
                return


def pixel_position(lower: bytes, seen: Sequence[Tag], where: str) -> int | None:
    """Return the offset of the pixel in a lower-cased HTML text with these tags, None when there is no safe position.

    At the end: before the last `</body>`, else the last `</html>`, else the trailing white space. With a fragile
    element still open there: before the outermost one. At the start: right after `<body>`, else before the first
    content.
    """
    start = content_start(lower)
    open_elements = _OpenElements()
    candidates: dict[bytes, int] = {}
    limit = len(lower)
    for tag in seen:
        name = tag.name
        if name in _FRAGILE:
            if name != b"noscript" or tag.start >= start:
                open_elements.open(name, tag.start)
        elif name == b"frameset":
            return None
        elif name in (b"/body", b"/html"):
            candidates[name] = -1 if open_elements.elements else tag.start
        elif name == b"body" and tag.start == start:
            start = candidates[name] = tag.end
        elif name == END:
            limit = tag.start
        elif name != CONDITIONAL and name.startswith(b"/"):
            open_elements.close(name[1:])
    if start >= limit and b"body" not in candidates:
        return None
    if where == "start":
        return start

    candidates[END] = -1 if open_elements.elements else _text_end(lower, limit)
    for name in (b"/body", b"/html", END):
        if candidates.get(name, -1) >= start:
            return _before_formatting(lower, seen, candidates[name], start)
    at = _before_fragile(open_elements.elements, start, b"body" in candidates)
    return None if at is None else _before_formatting(lower, seen, at, start)


def _text_end(lower: bytes, limit: int) -> int:
    """Return the end of the text before its trailing white space. After `<pre>`, keep the line end that it drops."""
    end = len(lower[:limit].rstrip(b"\r\n\t "))
    dropped = _DROPS_FIRST_NEWLINE.search(lower, max(0, end - _MAX_TAG), end)
    return end if dropped is None else limit


def _before_fragile(elements: list[tuple[bytes, int]], start: int, in_body: bool) -> int | None:
    """Return the position before the outermost open element, None without one or when that may be in the head."""
    if not elements or elements[0][1] < start:
        return None
    name, at = elements[0]
    return at if in_body or at > start or name not in _ALLOWED_IN_HEAD else None


def _before_formatting(lower: bytes, seen: Sequence[Tag], at: int, start: int) -> int:
    """Return the position before formatting elements that open right at `at`, so that the pixel is outside of them."""
    if at <= start or lower[at - 1] != 0x3E:
        return at
    boundary = max(start, next((tag.end for tag in reversed(seen) if tag.end <= at and tag.name != END), start))
    run_start = run_end = boundary
    for tag in formatting_tags(lower, boundary, at):
        if tag.name != END:
            run_start = run_start if tag.start == run_end and run_end > boundary else tag.start
            run_end = tag.end
    return run_start if run_end == at else at

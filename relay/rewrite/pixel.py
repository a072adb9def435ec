"""Where the pixel may stand without moving anything: a place in the body that no fragile element encloses."""

import re
from collections.abc import Sequence

from relay.rewrite.html import CONDITIONAL, END, Tag, content_start, formatting_tags

SURELY_CLOSED = frozenset(
    b"a applet button details dialog marquee math object select svg table template".split(),
)


NEVER_SURELY_CLOSED = frozenset(b"audio noscript option picture video".split())


_FRAGILE = SURELY_CLOSED | NEVER_SURELY_CLOSED
"""Elements the pixel must not be inside of: it would be moved out, hidden, or part of a link.

The end tag of the second kind is ignored when some other element is open inside; it takes more than these tags to
know, so they count as open from where they begin.
"""


SCOPES = frozenset(b"applet marquee math object svg table template".split())
"""Elements whose content an end tag outside cannot close (HTML standard, section 13.2.4.2)."""


_KEEPS_FIRST_NEWLINE_OUT = re.compile(rb"<(?:pre|listing)(?=[\t\n\f\r />])[^<>]*+>\Z")


_NEAR = 400


_LOOK_BACK = 64
"""How many open elements an end tag is compared with, so that hostile nesting costs no more than any other."""


_HEAD_MAY_HOLD = frozenset({b"noscript", b"template", b"script"})


class _Open:
    """The fragile elements open at a place, outermost first, as (name, start of its tag).

    Where the standard's tree construction would need more than tags to decide, an element counts as open: the pixel
    then goes to an earlier place, which is as good.
    """

    def __init__(self) -> None:
        self.elements: list[tuple[bytes, int]] = []

    def opened(self, name: bytes, start: int) -> None:
        """Take in a start tag; of nested `a` elements only the outermost is kept."""
        if name != b"a" or all(other != b"a" for other, _ in self.elements[-_LOOK_BACK:]):
            self.elements.append((name, start))

    def closed(self, name: bytes) -> None:
        """Take in an end tag: close the innermost element of that name, where it is certain that it closes one."""
        if name not in SURELY_CLOSED:
            return
        innermost = len(self.elements)
        for place in range(innermost - 1, max(innermost - _LOOK_BACK, 0) - 1, -1):
            other = self.elements[place][0]
            if other == name:
                del self.elements[place:]
                return
            if other in (b"a", b"template") or name == b"a":
                return
            if other in SCOPES and name not in (b"table", b"template"):
                return


def pixel_position(lower: bytes, seen: Sequence[Tag], where: str) -> int | None:
    """Return the offset for the pixel in a lower-cased HTML text with these tags; None when there is no good place.

    At the end: before the last `</body>`, else the last `</html>`, else the trailing white space; and when a fragile
    element is still open there, before the outermost one. At the start: right behind `<body>`, else before the first
    content.
    """
    start = content_start(lower)
    is_open = _Open()
    candidates: dict[bytes, int] = {}
    limit = len(lower)
    for tag in seen:
        name = tag.name
        if name in _FRAGILE:
            if name != b"noscript" or tag.start >= start:
                is_open.opened(name, tag.start)
        elif name == b"frameset":
            return None
        elif name in (b"/body", b"/html"):
            candidates[name] = -1 if is_open.elements else tag.start
        elif name == b"body" and tag.start == start:
            start = candidates[name] = tag.end
        elif name == END:
            limit = tag.start
        elif name != CONDITIONAL and name.startswith(b"/"):
            is_open.closed(name[1:])
    if start >= limit and b"body" not in candidates:
        return None
    if where == "start":
        return start
    candidates[END] = -1 if is_open.elements else _text_end(lower, limit)
    for name in (b"/body", b"/html", END):
        if candidates.get(name, -1) >= start:
            return _before_formatting(lower, seen, candidates[name], start)
    at = _before_fragile(is_open.elements, start, b"body" in candidates)
    return None if at is None else _before_formatting(lower, seen, at, start)


def _text_end(lower: bytes, limit: int) -> int:
    """Return the end of the text before its trailing white space, whose line end a `<pre>` right before swallows."""
    end = len(lower[:limit].rstrip(b"\r\n\t "))
    swallowed = _KEEPS_FIRST_NEWLINE_OUT.search(lower, max(0, end - _NEAR), end)
    return end if swallowed is None else limit


def _before_fragile(elements: list[tuple[bytes, int]], start: int, in_body: bool) -> int | None:
    """Return the place before the outermost open element, None when it may stand in the head or there is none."""
    if not elements or elements[0][1] < start:
        return None
    name, at = elements[0]
    return at if in_body or at > start or name not in _HEAD_MAY_HOLD else None


def _before_formatting(lower: bytes, seen: Sequence[Tag], at: int, start: int) -> int:
    """Return the place before formatting elements that open right at `at`, so that they do not open for the pixel."""
    if at <= start or lower[at - 1] != 0x3E:
        return at
    boundary = max(start, next((tag.end for tag in reversed(seen) if tag.end <= at and tag.name != END), start))
    run_start = run_end = boundary
    for tag in formatting_tags(lower, boundary, at):
        if tag.name != END:
            run_start = run_start if tag.start == run_end and run_end > boundary else tag.start
            run_end = tag.end
    return run_start if run_end == at else at

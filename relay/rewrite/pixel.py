"""Where the pixel may stand without moving anything: a place in the body that no fragile element encloses."""

import re
from collections.abc import Iterable

from relay.rewrite.html import CONDITIONAL, END, Tag, content_start

_FRAGILE = frozenset(
    b"a applet audio button details dialog marquee math noscript object picture select svg table template video".split()
)
"""Elements the pixel must not be inside of: it would be moved out, hidden, or part of a link."""

_SCOPES = frozenset(b"applet marquee math object svg table template".split())
"""Elements whose content an end tag outside cannot close (HTML standard, section 13.2.4.2)."""

_FORMATTING_OPENS = re.compile(
    rb"(?:<(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?:[\t\n\f\r /][^<>]*+)?>)+\Z"
)
_KEEPS_FIRST_NEWLINE_OUT = re.compile(rb"<(?:pre|listing)(?=[\t\n\f\r />])[^<>]*+>\Z")
_NEAR = 400
_HEAD_MAY_HOLD = frozenset({b"noscript", b"template", b"script"})


class _Open:
    """The fragile elements open at a place, outermost first, as (name, start of its tag).

    Where the standard's tree construction would need more than tags to decide, an element counts as open: the pixel
    then goes to an earlier place, which is as good.
    """

    def __init__(self) -> None:
        self.elements: list[tuple[bytes, int]] = []

    def opened(self, name: bytes, start: int) -> None:
        if name != b"a" or all(other != b"a" for other, _ in self.elements):
            self.elements.append((name, start))

    def closed(self, name: bytes) -> None:
        for place in reversed(range(len(self.elements))):
            other = self.elements[place][0]
            if other == name:
                del self.elements[place:]
                return
            if name == b"a" or (other in _SCOPES and name not in (b"table", b"template")) or other == b"template":
                return
            if other == b"a" and name in (b"button", b"details", b"dialog", b"noscript", b"picture"):
                return


def pixel_position(lower: bytes, seen: Iterable[Tag], where: str) -> int | None:
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
            return _before_formatting(lower, candidates[name], start)
    return _before_fragile(lower, is_open.elements, start, b"body" in candidates)


def _text_end(lower: bytes, limit: int) -> int:
    """Return the end of the text before its trailing white space, whose line end a `<pre>` right before swallows."""
    end = len(lower[:limit].rstrip(b"\r\n\t "))
    swallowed = _KEEPS_FIRST_NEWLINE_OUT.search(lower, max(0, end - _NEAR), end)
    return end if swallowed is None else limit


def _before_fragile(lower: bytes, elements: list[tuple[bytes, int]], start: int, in_body: bool) -> int | None:
    """Return the place before the outermost open element, None when it may stand in the head or there is none."""
    if not elements or elements[0][1] < start:
        return None
    name, at = elements[0]
    return _before_formatting(lower, at, start) if in_body or at > start or name not in _HEAD_MAY_HOLD else None


def _before_formatting(lower: bytes, at: int, start: int) -> int:
    """Return the place before formatting elements opened right at `at`, so that they do not open for the pixel."""
    opened = _FORMATTING_OPENS.search(lower, max(start, at - _NEAR), at) if lower[at - 1 : at] == b">" else None
    return at if opened is None else opened.start()

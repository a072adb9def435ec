"""Where the pixel may stand without moving anything: a place in the body that no fragile element encloses."""

import re
from collections.abc import Iterable

from relay.rewrite.html import ATTRIBUTES, COMMENT, CONDITIONAL, END, Tag

_FRAGILE = frozenset(
    b"a applet audio button details dialog marquee math noscript object picture select svg table template video".split()
)
"""Elements the pixel must not be inside of: it would be moved out, hidden, or part of a link."""

_SCOPES = frozenset(b"applet marquee math object svg table template".split())
"""Elements whose content an end tag outside cannot close (HTML standard, section 13.2.4.2)."""

_HEAD = re.compile(
    rb"(?>[\t\n\f\r \xef\xbb\xbf]++|" + COMMENT + rb"|<![^>]*+>|</?(?:html|head|meta|link|base|basefont|bgsound|body)"
    rb"(?=[\t\n\f\r />])" + ATTRIBUTES + rb">|<title(?=[\t\n\f\r />])" + ATTRIBUTES + rb">(?:[^<]++|<(?!/title))*+"
    rb"</title"
    + ATTRIBUTES
    + rb">|<style(?=[\t\n\f\r />])"
    + ATTRIBUTES
    + rb">(?:[^<]++|<(?!/style))*+</style"
    + ATTRIBUTES
    + rb">)*+"
)
_KEEPS_FIRST_NEWLINE_OUT = re.compile(rb"<(?:pre|listing)(?=[\t\n\f\r />])[^<>]*+>\Z")
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

    At the end: before the last `</body>`, else before the last `</html>`, else before the trailing line end; and when
    a fragile element is still open there, before the outermost one. At the start: right behind `<body>`, else before
    the first content.
    """
    head = _HEAD.match(lower)
    content_start = 0 if head is None else head.end()
    is_open = _Open()
    body_tag = -1
    candidates: dict[bytes, int] = {}
    limit = len(lower)
    for tag in seen:
        name = tag.name
        if name == b"frameset":
            return None
        if name == b"body" and body_tag < 0:
            body_tag = tag.end
        elif name in (b"/body", b"/html"):
            if is_open.elements:
                candidates.pop(name, None)
            else:
                candidates[name] = tag.start
        elif name == END:
            limit = tag.start
        elif name in _FRAGILE:
            is_open.opened(name, tag.start)
        elif name != CONDITIONAL and name.startswith(b"/"):
            is_open.closed(name[1:])
    if content_start >= limit:
        return None
    if where == "start":
        return body_tag if 0 <= body_tag <= content_start else content_start
    if not is_open.elements:
        candidates[END] = _text_end(lower, limit)
    for name in (b"/body", b"/html", END):
        if candidates.get(name, -1) > content_start:
            return candidates[name]
    return _before(is_open.elements, content_start, body_tag)


def _text_end(lower: bytes, limit: int) -> int:
    """Return the end of the text before its trailing line ends, which a `<pre>` right before them swallows."""
    end = len(lower[:limit].rstrip(b"\r\n"))
    swallowed = _KEEPS_FIRST_NEWLINE_OUT.search(lower, max(0, end - 200), end)
    return end if swallowed is None else limit


def _before(elements: list[tuple[bytes, int]], content_start: int, body_tag: int) -> int | None:
    if not elements:
        return None
    name, start = elements[0]
    in_body = start > content_start or 0 <= body_tag <= start or name not in _HEAD_MAY_HOLD
    return start if start >= content_start and in_body else None

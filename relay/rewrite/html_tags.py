"""Scans HTML for the tags that decide about links and the pixel."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_WS = rb"[\t\n\f\r ]"

_NAME = rb"[a-z][^\t\n\f\r />]*+"

_NAME_ENDS = rb"(?=[\t\n\f\r />])"

_VALUE = rb"""(?:"[^"]*+"|'[^']*+'|[^\t\n\f\r >"'][^\t\n\f\r >]*+|(?=>))"""

_ATTRIBUTE_NAME = rb"[^\t\n\f\r />][^\t\n\f\r />=]*+"

_ATTRIBUTE = _ATTRIBUTE_NAME + rb"(?:" + _WS + rb"*+=" + _WS + rb"*+" + _VALUE + rb"|(?!" + _WS + rb"*+=))"

ATTRIBUTES = rb"(?>[\t\n\f\r /]++|" + _ATTRIBUTE + rb")*+"
"""Everything between the name of a tag and its ">"."""

COMMENT = rb"<!--(?>-?>|(?>[^-]++|-(?!-!?>))*+--!?>)"

_BOGUS_COMMENT = rb"<(?:!(?!--)|\?|/(?![a-z]))[^>]*+>"

_STRAY = rb"<(?![a-z/!?])"

_NAME_AND_VALUE = re.compile(
    rb"[\t\n\f\r /]*+("
    + _ATTRIBUTE_NAME
    + rb")(?:"
    + _WS
    + rb"*+="
    + _WS
    + rb"""*+(?:"([^"]*+)"|'([^']*+)'|([^\t\n\f\r >"'][^\t\n\f\r >]*+))?)?"""
)

_TAG = re.compile(rb"<(/?" + _NAME + rb")" + ATTRIBUTES + rb">")

_COMMENT = re.compile(COMMENT)

_HIDING_END = re.compile(rb"<!\[endif\][\t\n\f\r ]*+--!?>")

_CDATA = b"<![cdata["

_RAW_TEXT = (b"style", b"script", b"title", b"textarea", b"xmp", b"iframe", b"noembed", b"noframes", b"plaintext")

_RAW_END = {name: re.compile(rb"</" + name + _NAME_ENDS) for name in _RAW_TEXT}

_FOREIGN = frozenset({b"svg", b"math"})

_SCRIPT = re.compile(rb"<!--|-->|</?script" + _NAME_ENDS)

_BREAKS_OUT = frozenset(
    b"b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta"
    b" nobr ol p pre ruby s small span strong strike sub sup table tt u ul var".split()
)

_BREAKING_FONT = re.compile(rb"[\t\n\f\r /](?:color|face|size)(?=[\t\n\f\r />=])")

_INTEGRATION_POINTS = frozenset(b"foreignobject desc title annotation-xml mi mo mn ms mtext".split())

_LINKS = rb"a(?:rea)?"

_STRUCTURE = (
    rb"/?(?:a|a(?:pplet|udio)|b(?:ody|utton)|d(?:etails|ialog)|marquee|noscript|o(?:bject|ption)|picture|"
    rb"s(?:elect|vg)|t(?:able|emplate)|video|math|html)|frameset"
)

_RAW = rb"|".join(_RAW_TEXT)


class Tag(NamedTuple):
    """A tag: its name with a slash before it when it closes, its range, and where its attributes begin.

    The name "!--" stands for a conditional comment. Its text goes from `attributes` to `end`, with its delimiters. The
    name "" stands for the end: `start` is where the content ends, before anything that is never completed.
    """

    name: bytes
    start: int
    attributes: int
    end: int


END = b""

CONDITIONAL = b"!--"


def _reaching(names: bytes) -> re.Pattern[bytes]:
    """Return the expression that passes over all that is not asked for, and then takes a tag of these names if it can.

    It stops before conditional comments and before what is never completed.
    """
    wanted = rb"(?:" + names + rb")" + _NAME_ENDS
    other_tag = rb"<(?!" + wanted + rb")/?" + _NAME + ATTRIBUTES + rb">"
    plain_comment = rb"(?!<!--" + _WS + rb"*+\[if)" + COMMENT
    passed = rb"(?>[^<]++|" + other_tag + rb"|" + plain_comment + rb"|" + _BOGUS_COMMENT + rb"|" + _STRAY + rb")*+"
    return re.compile(passed + rb"(?:<(/?" + _NAME + rb")" + ATTRIBUTES + rb">)?")


_HEAD = re.compile(
    rb"(?>[\t\n\f\r ]++|\xef\xbb\xbf|"
    + COMMENT
    + rb"|"
    + _BOGUS_COMMENT
    + rb"|<(?:(?:html|head|meta|link|base|basefont|bgsound|noscript|template)"
    + _NAME_ENDS
    + rb"|/(?!br"
    + _NAME_ENDS
    + rb")"
    + _NAME
    + rb")"
    + ATTRIBUTES
    + rb">)*+"
)

_REACH_MAIL = _reaching(_LINKS + rb"|" + _STRUCTURE + rb"|" + _RAW)

_REACH_MAIL_AND_IMAGES = _reaching(_LINKS + rb"|ima?ge?|" + _STRUCTURE + rb"|" + _RAW)

_REACH_FORMATTING = _reaching(rb"a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u|" + _RAW)

_REACH_OFFICE = _reaching(_LINKS + rb"|v:[^\t\n\f\r />]*+|svg|math|" + _RAW)


def tags(lower: bytes, *, images: bool = False) -> Iterator[Tag]:
    """Yield the links, the tags that matter to where a pixel may stand, conditional comments, and last the end."""
    return _tags(lower, 0, len(lower), _REACH_MAIL_AND_IMAGES if images else _REACH_MAIL)


def conditional_comment_tags(lower: bytes, comment: Tag) -> Iterator[Tag]:
    """Yield the links and VML shapes inside of a downlevel-hidden conditional comment, which Outlook renders.

    A comment that reveals instead of hiding (`<!--[if !mso]><!-->`) has nothing inside.
    """
    condition_end = lower.find(b"]", comment.attributes, comment.end) + 1
    text_end = lower.rfind(b"<![endif]", condition_end, comment.end)
    hides = condition_end and text_end >= 0 and _HIDING_END.fullmatch(lower, text_end, comment.end) is not None
    if hides and lower.find(b"href", condition_end, text_end) >= 0:
        for tag in _tags(lower, condition_end, text_end, _REACH_OFFICE):
            if tag.name != END:
                yield tag


def attributes(lower: bytes, tag: Tag) -> Iterator[tuple[bytes, bytes]]:
    """Yield the attributes of a tag as (name, value), the value without its quotes and undecoded."""
    at = tag.attributes
    while (found := _NAME_AND_VALUE.match(lower, at, tag.end)) is not None:
        yield found[1], found[2] or found[3] or found[4] or b""
        at = found.end()


def formatting_tags(lower: bytes, start: int, end: int) -> Iterator[Tag]:
    """Yield the start tags of formatting elements in a range that begins between two tags."""
    return _tags(lower, start, end, _REACH_FORMATTING)


def _tags(lower: bytes, start: int, end: int, reaching: re.Pattern[bytes]) -> Iterator[Tag]:
    at = start
    while (found := reaching.match(lower, at, end)) is not None:
        name = found[1]
        if name is None:
            at = found.end()
            comment = _COMMENT.match(lower, at, end)
            if comment is None:
                yield Tag(END, at, at, end)
                return
            yield Tag(CONDITIONAL, at, at + 4, comment.end())
            at = comment.end()
            continue
        named_at, named_to = found.span(1)
        at = found.end()
        if name in _RAW_END:
            at = _raw_end(lower, name, at, end)
            if at < 0:
                yield Tag(END, named_at - 1, named_at - 1, end)
                return
            continue
        yield Tag(name, named_at - 1, named_to, at)
        if name in _FOREIGN and not _closes_itself(lower[named_to:at]):
            inside = _foreign_end(lower, at, end)
            at = inside.end
            yield inside
            if inside.name == END:
                return


def _raw_end(lower: bytes, name: bytes, at: int, end: int) -> int:
    """Return where the closing tag of a raw text begins, -1 when there is none."""
    if name == b"plaintext":
        return -1
    if name == b"script":
        at = _script_end(lower, at, end)
    else:
        found = _RAW_END[name].search(lower, at, end)
        at = -1 if found is None else found.start()
    return -1 if at < 0 or _TAG.match(lower, at, end) is None else at


def content_start(lower: bytes) -> int:
    """Return where the first content of the body begins, or its `<body>`: behind all that a head may hold."""
    at = 0
    while (found := _HEAD.match(lower, at)) is not None:
        at = found.end()
        opening = _TAG.match(lower, at)
        if opening is None or opening[1] not in (b"title", b"style", b"script", b"noframes"):
            break
        at = _raw_end(lower, opening[1], opening.end(), len(lower))
        if at < 0:
            return opening.start()
        at = lower.index(b">", at) + 1
    return at


def _script_end(lower: bytes, at: int, end: int) -> int:
    """Return where `</script` ends the script data begun at `at`, following its escaped states; -1 when nowhere."""
    escaped = doubly = False
    while (found := _SCRIPT.search(lower, at, end)) is not None:
        at = found.end()
        match found[0]:
            case b"<!--":
                if not escaped:
                    at -= 2
                    escaped = lower[at + 2 : at + 3] != b">" and lower[at + 2 : at + 4] != b"->"
            case b"-->":
                escaped = doubly = False
            case b"<script":
                doubly = escaped
            case _ if doubly:
                doubly = False
            case _:
                return found.start()
    return -1


def _foreign_end(lower: bytes, at: int, end: int) -> Tag:
    """Pass over SVG or MathML content; return the tag that leaves it, or the end.

    HTML tags that may not stand in foreign content close it. Inside of an integration point they do not, and there
    it counts as open.
    """
    depth, integrated = 1, False
    while True:
        at = _next_markup(lower, at, end)
        found = _TAG.match(lower, at, end) if at < end else None
        if found is None:
            return Tag(END, at, at, end)
        name = found[1]
        if name in (b"/svg", b"/math"):
            depth -= 1
            if depth == 0:
                return Tag(name, at, found.end(1), found.end())
        elif name in _FOREIGN:
            depth += not _closes_itself(found[0])
        elif _breaks_out(name, found[0]):
            return Tag(b"svg" if integrated else b"/svg", at, at, at)
        elif name in _INTEGRATION_POINTS:
            integrated = True
        at = found.end()


_UNQUOTED_SLASH = re.compile(rb"=[\t\n\f\r ]*+[^\t\n\f\r >\"']*/>\Z")

_FOREIGN_TEXT = re.compile(rb"(?>[^<]++|" + COMMENT + rb"|(?!<!\[cdata\[)" + _BOGUS_COMMENT + rb"|" + _STRAY + rb")*+")


def _next_markup(lower: bytes, at: int, end: int) -> int:
    """Pass over text, comments and CDATA sections; return where the next tag, or something unfinished, begins."""
    while True:
        passed = _FOREIGN_TEXT.match(lower, at, end)
        at = at if passed is None else passed.end()
        if not lower.startswith(_CDATA, at, end):
            return at
        closed = lower.find(b"]]>", at, end)
        if closed < 0:
            return at
        at = closed + 3


def _closes_itself(tag: bytes) -> bool:
    return tag.endswith(b"/>") and _UNQUOTED_SLASH.search(tag) is None


def _breaks_out(name: bytes, tag: bytes) -> bool:
    return name in _BREAKS_OUT or (name == b"font" and _BREAKING_FONT.search(tag) is not None)

"""Spellings of the placeholder of an unsubscribe link, as mail services have it. Pure.

`{{unsubscribe_url}}`, `%unsubscribe_url%`, `{{{ pm:unsubscribe_url }}}`, `<%asm_group_unsubscribe_raw_url%>` and
`*|UNSUB|*`: in any case, with blanks, with character references, percent-encoded, and with a scheme that an editor put
in front.
"""

import re
from collections.abc import Iterator

NAME = b"nsub"
"""Octets that each placeholder has, in upper or lower case."""

_NAMES = {
    "{": "lcub|lbrace",
    "}": "rcub|rbrace",
    "%": "percnt",
    "<": "lt",
    ">": "gt",
    "*": "ast|midast",
    "|": "vert|verbar|VerticalLine",
    "_": "lowbar|UnderBar",
    ":": "colon",
    "/": "sol",
}
"""Names of character references (HTML standard, section 13.5)."""

_ENCODED_NAME = re.compile(rb"nsub(?:[|%&=+ \t\r\n\xc2]|scribe[_%&=])")
"""The name in a body in lower case, in its transfer encoding."""

_BEFORE = frozenset(bytes([octet]) for octet in b"{%|_:;+ \t\r\n\xa00579abcdfABCDF")
"""Last octets of what may be in front of "unsub" in a placeholder."""

_MAX_TRIED = 2000
"""Names in one text that are looked at, at most, so that a hostile text takes no time."""

_AROUND = 160
"""Octets before and after the name of a placeholder that can belong to it."""


def _spelled(char: str) -> str:
    """Return the expression of a character: itself, percent-encoded, or as a character reference."""
    code = ord(char)
    return rf"(?:%{code:02x}|&#(?:0{{0,4}}{code}|x0{{0,4}}{code:x});?|&(?:{_NAMES[char]});?|{re.escape(char)})"


_BLANK = r"(?:[ \t\r\n+]|\xc2\xa0|%20|%09|%0d|%0a|%c2%a0|&nbsp;|&#(?:32|160|xa0|x20);){0,12}"

_UNSUBSCRIBE_URL = f"unsubscribe{_spelled('_')}url"

_TRIPLE = f"{_spelled('{')}{{3}}{_BLANK}(?:pm{_spelled(':')})?{_UNSUBSCRIBE_URL}{_BLANK}{_spelled('}')}{{3}}"

_DOUBLE = f"{_spelled('{')}{{2}}{_BLANK}(?:pm{_spelled(':')})?{_UNSUBSCRIBE_URL}{_BLANK}{_spelled('}')}{{2}}"

_PERCENT = "|".join(f"{_spelled('%')}{{{count}}}{_UNSUBSCRIBE_URL}{_spelled('%')}{{{count}}}" for count in (2, 1))

_TAG = (
    f"{_spelled('<')}{_spelled('%')}{_BLANK}asm{_spelled('_')}(?:group|global){_spelled('_')}unsubscribe{_spelled('_')}"
    f"(?:raw{_spelled('_')})?url{_BLANK}{_spelled('%')}{_spelled('>')}"
)

_MERGE = f"{_spelled('*')}{_spelled('|')}{_BLANK}unsub{_BLANK}{_spelled('|')}{_spelled('*')}"

_SCHEME = f"(?:https?{_spelled(':')}{_spelled('/')}{{2}})?"

_PLACEHOLDER = re.compile(
    f"{_SCHEME}(?:{_TRIPLE}|{_DOUBLE}|{_PERCENT}|{_TAG}|{_MERGE})".encode("latin-1"), re.IGNORECASE
)

_CORE = re.compile(
    f"nsub(?:scribe{_spelled('_')}(?:raw{_spelled('_')})?url|{_BLANK}{_spelled('|')})".encode("latin-1"), re.IGNORECASE
)
"""What follows in a placeholder: other texts about unsubscribing do not have it."""


def placeholder_ranges(text: bytes) -> list[tuple[int, int]]:
    """Return the ranges of the placeholders in a decoded text that is readable as ASCII; linear in the text."""
    ranges: list[tuple[int, int]] = []
    tried = 0
    for name in _names(text):
        if text[name - 2 : name - 1] not in _BEFORE or _CORE.match(text, name) is None:
            continue
        if (tried := tried + 1) > _MAX_TRIED:
            break
        start = max(name - _AROUND, ranges[-1][1] if ranges else 0)
        for found in _PLACEHOLDER.finditer(text, start, name + _AROUND):
            if found.start() <= name < found.end():
                ranges.append(found.span())
                break
    return ranges


def holds_name_twin(body: bytes) -> bool:
    """Whether the name of a placeholder is in an encoded body; what the compiled function returns.

    Soft line breaks may be inside. Of other texts about unsubscribing few have it.
    """
    joined = body.replace(b"=\r\n", b"") if b"=\r\n" in body else body
    return _ENCODED_NAME.search(joined.lower()) is not None


def _names(text: bytes) -> Iterator[int]:
    """Yield the offsets of NAME."""
    lower = text.lower()
    at = lower.find(NAME)
    while at >= 0:
        yield at
        at = lower.find(NAME, at + len(NAME))

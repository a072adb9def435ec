"""Finds the URLs of a text part: RFC 3986 appendix C, and where programs that show the text end a link."""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

_RUN = re.compile(rb"(?<![\w@.])https?://(?:\[[0-9a-f:.]++\])?[^\s<>\"\[\]\x00-\x20\x7f]++", re.IGNORECASE)
"""A URL and what follows it directly, with octets over 127. "[" and "]" are part of an IPv6 address only."""

_NOT_ASCII = re.compile(rb"[\x80-\xff]")

_PARENTHESIS = re.compile(rb"[()]")

_TRAILING = b".,;:!?*_'("
"""Characters that belong to the text when they are behind a URL."""

_MAX_CHARACTER = 16
"""Octets of one character with its shifts, at most."""


class TextUrl(NamedTuple):
    """A URL in a text, and whether it ends for certain where it seems to end."""

    start: int
    end: int
    is_certain: bool


def text_urls(text: bytes, encoded: bytes, charset: str, *, joins_lines: bool) -> Iterator[TextUrl]:
    """Yield the URLs of a text that `eligibility.readable` made of `encoded`, in order.

    Where a letter follows that is not ASCII, the URL goes on (RFC 3987). With `joins_lines`, text goes on in the next
    line after a blank (RFC 3676, DelSp).
    """
    at = 0
    while (run := _RUN.search(text, at)) is not None:
        start, at = run.span()
        other = _NOT_ASCII.search(text, start, at)
        if other is not None and not _ends_url(encoded[other.start() : other.start() + _MAX_CHARACTER], charset):
            yield TextUrl(start, at, is_certain=False)
            continue

        stop = at if other is None else other.start()
        end = start + len(_without_surroundings(text[start:stop], text[max(start - 1, 0) : start]))
        at = max(end, start + 1)
        yield TextUrl(start, end, is_certain=not (joins_lines and end == stop and text.startswith(b" \r\n", end)))


def _ends_url(encoded: bytes, charset: str) -> bool:
    """Whether the first character is punctuation or a separator. One that cannot be decoded may be a letter."""
    try:
        character = encoded.decode(charset, "ignore")[:1]
    except LookupError:
        return False
    return bool(character) and unicodedata.category(character)[0] in "PZ"


def _without_surroundings(url: bytes, before: bytes) -> bytes:
    """Return the URL without a quotation mark, closing parenthesis or punctuation of the text around it."""
    if before == b"'":
        url = url.partition(b"'")[0]
    depth = 0
    for found in _PARENTHESIS.finditer(url):
        depth += 1 if found[0] == b"(" else -1
        if depth < 0:
            url = url[: found.start()]
            break
    return url.rstrip(_TRAILING)

"""Parses header values with parameters (RFC 2045 section 5.1, RFC 2231)."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote

from relay.frozen import dataclass

_WHITE = re.compile(r"\s+")

_COMMENT_OR_STRING = re.compile(r'[()"\\]')

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

_CONTINUED = re.compile(r"([^*]+)\*(?:(\d{1,3})(\*)?)?")

_DECISIVE = frozenset({"boundary", "charset"})
"""Parameters that decide how a part is read."""

_PIECE = re.compile(r'(?>[^;"]++|"(?>[^"\\]++|\\.)*+(?:"|\Z))*+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Parameterised:
    """A value such as "text/html; charset=utf-8"."""

    value: str
    """The first word, in lower case."""
    parameters: Mapping[str, str]
    """The parameters by lower-case name."""
    clear: bool = True
    """False for an ambiguous value: a repeated name, an open string, stray text, or a boundary or charset given in two
    ways."""


@lru_cache(maxsize=1024)
def parse(raw: bytes) -> Parameterised:
    """Parse an unfolded field value. No value raises: see `Parameterised.clear`."""
    text = raw.decode("latin-1").replace("\r", " ").replace("\n", " ")
    if "(" in text:
        text = _without_comments(text)
    pieces = _split(text)
    value = _WHITE.sub("", pieces[0]).lower()
    clear = text.count('"') % 2 == 0 or "\\" in text

    found: dict[str, str] = {}
    for piece in pieces[1:]:
        name, equals, rest = piece.partition("=")
        name = name.strip().lower()
        if not equals or name in found:
            clear = clear and not (name or equals)
            continue
        found[name] = _unquoted(rest.strip())
    joined = _join_sections(found)
    return Parameterised(value, MappingProxyType(joined), clear and not _contradicts(found, joined))


def _split(text: str) -> list[str]:
    """Split at the semicolons outside of quoted strings."""
    pieces: list[str] = []
    at = 0
    while at <= len(text):
        match = _PIECE.match(text, at)
        end = at if match is None else match.end()
        pieces.append(text[at:end])
        at = end + 1
    return pieces


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text.split(None, 1)[0] if text else ""
    inner = text[1:-1] if len(text) > 1 and text.endswith('"') else text[1:].split('"', 1)[0]
    return _ESCAPE.sub(r"\1", inner)


def _without_comments(text: str) -> str:
    """Remove comments, which may be nested. Parentheses in quoted strings are text."""
    kept: list[str] = []
    depth, quoted, at = 0, False, 0

    for match in _COMMENT_OR_STRING.finditer(text):
        if match.start() < at:
            continue
        if depth == 0:
            kept.append(text[at : match.start()])
        at = match.end()

        match match[0]:
            case "\\":
                at = min(at + 1, len(text))
            case '"' if depth == 0:
                quoted = not quoted
            case "(" if not quoted:
                depth += 1
                continue
            case ")" if depth:
                depth -= 1
                continue
        if depth == 0:
            kept.append(text[match.start() : at])
    return text if depth else "".join(kept) + text[at:]


def _join_sections(found: Mapping[str, str]) -> dict[str, str]:
    """Join parameters that are split or percent-encoded by RFC 2231: name*0, name*1*, name*."""
    if not any("*" in name for name in found):
        return dict(found)
    joined = {name: value for name, value in found.items() if "*" not in name}
    for name, sections in _sections(found).items():
        joined.setdefault(name, "".join(value for _, value in sorted(sections)))
    return joined


def _contradicts(found: Mapping[str, str], joined: Mapping[str, str]) -> bool:
    """Whether a boundary or charset reads differently with RFC 2231 and without, or lacks a section.

    A file name may be given both ways: the plain one is for clients without RFC 2231.
    """
    if not any("*" in name for name in found):
        return False
    for name, sections in _sections(found).items():
        if name not in _DECISIVE:
            continue
        numbers = sorted(number for number, _ in sections)
        whole = "".join(value for _, value in sorted(sections))
        if numbers != list(range(len(numbers))) or joined[name] != whole:
            return True
    return False


def _sections(found: Mapping[str, str]) -> dict[str, list[tuple[int, str]]]:
    sections: dict[str, list[tuple[int, str]]] = {}
    for name, value in found.items():
        for base, number, encoded in _parse_name(name):
            sections.setdefault(base, []).append((number, _decode_section(value, number) if encoded else value))
    return sections


def _decode_section(value: str, number: int) -> str:
    """Decode percent-encoding. The first section begins with charset'language'."""
    bare = value.split("'", 2)[2] if number == 0 and value.count("'") >= 2 else value
    return unquote(bare, "latin-1")


def _parse_name(name: str) -> Iterator[tuple[str, int, bool]]:
    match = _CONTINUED.fullmatch(name)
    if match is not None:
        yield match[1], int(match[2] or 0), match[2] is None or match[3] is not None

"""Phrase language of the bounce rules, and an index of phrases."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

_MAX_GAPS = 2

_MAX_DEPTH = 6

_SPECIAL = re.compile(r"(\{|\||\}| \.\. |\.\.|\*|#)")

_GAP = r"(?:[^.]|\.(?! )){0,60}?"

_WORD_CLASS = re.compile(r"\$([a-z][a-z-]*)")
"""The name of a word class in a phrase."""

_PATTERNS = {" .. ": rf" (?:{_GAP} )?", "..": _GAP, "*": r"\w{0,20}", "#": r"\d{1,12}"}

_NEVER = re.compile(r"[\s_\-,;:!?\"()\[\]]{2,}|[_\-,;:!?\"()\[\]]|n't\b|cannot")


IN_CLAUSE = "~"
"""Mark of a phrase that does not go beyond the end of a clause."""

WHOLE_CLAUSE = "="
"""Mark of a phrase that is all of a clause."""


class PhraseError(ValueError):
    """The phrase is invalid; the message says why."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A compiled phrase. Every match contains one of `needles`, by which the index finds phrases."""

    source: str
    needles: tuple[str, ...]
    expression: str
    """The regular expression of the phrase."""
    scope: str = ""
    """"" for the whole text, IN_CLAUSE or WHOLE_CLAUSE."""

    def matches(self, normal: str) -> bool:
        """Whether a text in normal form contains the phrase, or is the phrase if that is to be a whole clause."""
        pattern = _pattern(self.expression)
        return (pattern.fullmatch if self.scope == WHOLE_CLAUSE else pattern.search)(normal) is not None


@cache
def _pattern(expression: str) -> re.Pattern[str]:
    """Compile an expression on first use: few of the two thousand built-in ones are ever needed."""
    return re.compile(expression)


def compile_phrase(source: str, classes: Mapping[str, str] = MappingProxyType({})) -> Phrase:
    """Compile a phrase; raise PhraseError for one that is empty, unbalanced or has more than two gaps.

    `classes` has the alternatives of each word class, which a phrase names as `$class`. A phrase may begin with the
    mark of its scope.
    """
    written = source
    scope = source[:1] if source.startswith((IN_CLAUSE, WHOLE_CLAUSE)) else ""
    source = _with_classes(source.removeprefix(scope), classes)
    if source != source.lower() or source != source.strip() or not source:
        raise PhraseError(f"phrase {written!r} must be in lower case, not empty, and without spaces around it")

    never = _NEVER.search(source)
    if never is not None:
        raise PhraseError(f"phrase {written!r} has {never[0]!r}, which a reply's normal form has not: write a space")
    if "|} " in source or "{|" in source:
        raise PhraseError(f"phrase {written!r}: put the empty alternative last and its space inside the braces")

    tokens = _tokens(source)
    if tokens.count("..") + tokens.count(" .. ") > _MAX_GAPS:
        raise PhraseError(f"phrase {written!r} has more than {_MAX_GAPS} gaps (..)")

    pattern, needles, end = _sequence(written, tokens, 0, 0)
    if end != len(tokens):
        raise PhraseError(f"phrase {written!r} has {tokens[end]!r} outside braces")

    return Phrase(written, needles, _at_words(source, pattern), scope)


def _with_classes(source: str, classes: Mapping[str, str]) -> str:
    """Replace the names of word classes by their alternatives; classes may name others."""
    for _ in range(_MAX_DEPTH):
        named = _WORD_CLASS.search(source)
        if named is None:
            return source
        if named[1] not in classes:
            raise PhraseError(f"phrase {source!r} names the class ${named[1]}, which is not in [words]")
        source = _WORD_CLASS.sub(lambda found: f"{{{classes.get(found[1], '')}}}", source)
    raise PhraseError(f"phrase {source!r} names classes that name each other")


def _tokens(source: str) -> list[str]:
    return [part for part in _SPECIAL.split(source) if part]


def _sequence(source: str, tokens: list[str], at: int, depth: int) -> tuple[str, tuple[str, ...], int]:
    """Compile tokens up to an unmatched `|` or `}`; return the pattern, its needles, and the end."""
    pattern = ""
    best, most = _NO_NEEDLE, _strength(_NO_NEEDLE)
    while at < len(tokens) and tokens[at] not in ("|", "}"):
        piece = tokens[at]
        needles: tuple[str, ...] = ()
        if piece == "{":
            piece, needles, at = _group(source, tokens, at + 1, depth + 1)
        elif piece in _PATTERNS:
            piece = _PATTERNS[piece]
        else:
            piece, needles = re.escape(piece), (piece,)
        if needles and (strength := _strength(needles)) > most:
            best, most = needles, strength
        pattern += piece
        at += 1

    return pattern, best, at


def _group(source: str, tokens: list[str], at: int, depth: int) -> tuple[str, tuple[str, ...], int]:
    """Compile the alternatives after a `{` up to its `}`. Needles of all alternatives count, because any may match."""
    if depth > _MAX_DEPTH:
        raise PhraseError(f"phrase {source!r} nests braces deeper than {_MAX_DEPTH}")

    patterns: list[str] = []
    needles: list[str] = []
    while True:
        pattern, found, at = _sequence(source, tokens, at, depth)
        patterns.append(pattern)
        needles += found
        if at >= len(tokens):
            raise PhraseError(f"phrase {source!r} has a brace without its pair")
        if tokens[at] == "}":
            return f"(?:{'|'.join(patterns)})", tuple(needles), at
        at += 1


_NO_NEEDLE: tuple[str, ...] = ("",)
"""Needles of what matches any text."""


def _strength(needles: tuple[str, ...]) -> float:
    """Selectivity of needles: higher for long ones, lower for many."""
    return min(map(len, map(str.strip, needles))) - len(needles) / 50


_LETTER = r"[a-z0-9\u00df-\u024f\u0370-\u04ff]"
"""A digit, or a letter of a script that separates words (Latin, Greek, Cyrillic)."""


def _at_words(source: str, pattern: str) -> str:
    """Add word boundaries where the phrase begins or ends with a letter, except in scripts without spaces."""
    first, last = source[0], source[-1]
    before = f"(?<!{_LETTER})" if first == "{" or re.match(_LETTER, first) else ""
    after = f"(?!{_LETTER})" if last in "}*#" or re.match(_LETTER, last) else ""
    return f"{before}(?:{pattern}){after}"


_START = 3
"""Characters of a needle by which it is looked up; shorter needles are searched one by one."""


@dataclass(frozen=True, slots=True)
class PhraseIndex:
    """Needles by their first characters, with the sources of their phrases."""

    by_start: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]
    short: tuple[tuple[str, tuple[str, ...]], ...]

    def possible(self, normal: str) -> set[str]:
        """Return the sources of the phrases that have a needle in the normal form of a text."""
        found: set[str] = set()
        starts = {normal[at : at + _START] for at in range(len(normal) - _START + 1)}
        for start in self.by_start.keys() & starts:
            for needle, sources in self.by_start[start]:
                if needle in normal:
                    found.update(sources)
        for needle, sources in self.short:
            if needle in normal:
                found.update(sources)
        return found


def index_phrases(phrases: Iterable[Phrase]) -> PhraseIndex:
    """Return the index of phrases."""
    sources: dict[str, dict[str, None]] = {}
    for phrase in phrases:
        for needle in phrase.needles:
            sources.setdefault(needle, {})[phrase.source] = None
    by_start: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    short: list[tuple[str, tuple[str, ...]]] = []
    for needle, its_sources in sources.items():
        bucket = by_start.setdefault(needle[:_START], []) if len(needle) >= _START else short
        bucket.append((needle, tuple(its_sources)))
    return PhraseIndex({start: tuple(found) for start, found in by_start.items()}, tuple(short))

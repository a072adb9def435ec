"""Which of many phrases can occur in a text at all: one pass over the text instead of one for each phrase. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from relay.dsn.phrases import Phrase

_START = 3
"""Characters of a needle that are looked up; shorter needles are sought each for itself."""


@dataclass(frozen=True, slots=True)
class PhraseIndex:
    """Needles by their first characters, each with the sources of the phrases it belongs to."""

    by_start: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]
    short: tuple[tuple[str, tuple[str, ...]], ...]

    def possible(self, normal: str) -> set[str]:
        """Return the sources of the phrases of which a needle stands in a text in its normal form."""
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
    for needle, its in sources.items():
        place = by_start.setdefault(needle[:_START], []) if len(needle) >= _START else short
        place.append((needle, tuple(its)))
    return PhraseIndex({start: tuple(found) for start, found in by_start.items()}, tuple(short))

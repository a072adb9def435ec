"""Search of messages: from the most selective source of candidates, each checked, newest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relay.mail.canonical_address import canonical, keys_of
from relay.reports.search import Found, Search, has
from relay.storage import timelines
from relay.storage.database import Connection, Database
from relay.storage.search_blocks import SearchRow, extend, forget, rows
from relay.storage.search_sources import Sources

LOOKED_AT = 2000
"""Messages that one search compares, at most: it takes some hundredths of a second, and the next one goes on."""

_FIRST = 60
"""Messages that are compared first; then as many as before, twice: the first ones mostly suffice."""

MAX_PARTS = 400
"""Parts of the candidates that one search reads, at most: of the index a part is a block."""

MAX_PICKED_FROM = 5000
"""Candidates from which one search picks by indexes, at most."""

_AT_ONCE = 250
"""Candidates from which are picked at once."""


class SearchTable:
    """Implements SearchStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(self, search: Search) -> Found:
        """Return the messages that match, newest first. A search that would take long stops, and says so."""
        return await self._database.read(lambda raw: _Run(raw, search, Sources(raw, search)).found())

    async def extend(self, before: float) -> int:
        """Index a block of the oldest messages that are not indexed and came before that time; return their number."""
        return await self._database.write(extend(before))

    async def forget(self) -> int:
        """Delete the blocks whose messages are all gone; return the number of rows."""
        return await self._database.write(forget)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Some messages that may match. After the last ones the search stops, and goes on before `reached`."""

    ids: Sequence[str]
    reached: str
    is_last: bool


@dataclass(slots=True)
class _Run:
    """One search on one connection."""

    raw: Connection
    search: Search
    sources: Sources

    def found(self) -> Found:
        """Return the page."""
        matching: list[str] = []
        looked_at = 0
        for part in self._picked():
            start = 0
            while chunk := part.ids[start : start + min(_FIRST + looked_at, LOOKED_AT - looked_at)]:
                start += len(chunk)
                looked_at += len(chunk)
                for row in rows(self.raw, chunk):
                    if self._matches(row):
                        matching.append(row.queue_id)
                        if len(matching) > self.search.limit:
                            return self._page(matching[:-1], matching[-2])
                if looked_at >= LOOKED_AT:
                    return self._page(matching, chunk[-1], is_cut=True)
            if part.is_last:
                return self._page(matching, part.reached, is_cut=bool(part.reached))
        return self._page(matching, "")

    def _picked(self) -> Iterator[_Candidates]:
        """Yield the candidates that may match, of several parts at once where these are small."""
        gathered: list[str] = []
        picked_from = 0
        parts = self.sources.parts()
        for read, part in enumerate(parts, 1):
            gathered += part.ids
            is_last = bool(part.reached) and (read >= MAX_PARTS or picked_from + len(gathered) >= MAX_PICKED_FROM)
            enough = _AT_ONCE if self.sources.picks else _FIRST
            if len(gathered) < enough and part.reached and not is_last:
                continue
            picked_from += len(gathered) if self.sources.picks else 0
            yield _Candidates(self.sources.pick(gathered), part.reached, is_last)
            gathered = []
        if gathered:
            yield _Candidates(self.sources.pick(gathered), "", True)

    def _page(self, matching: Sequence[str], following: str, *, is_cut: bool = False) -> Found:
        return Found(timelines.listed_stories(self.raw, matching), following, is_cut)

    def _matches(self, row: SearchRow) -> bool:
        search = self.search
        if (search.users_only and row.origin) or (search.domains and row.domain not in search.domains):
            return False
        if search.statuses and not self._has_status(row):
            return False
        if search.labels and not row.has_labels(search.labels):
            return False
        groups = self.sources.groups
        recipients = set(row.recipients)
        if "@" in search.recipient and recipients.isdisjoint(keys_of(search.recipient)):
            return False
        terms = row.terms({*(term.text[:1] for group in groups for term in group), "f" if search.address else ""})
        if search.address and recipients.isdisjoint(keys_of(search.address)):
            return f"f:{canonical(search.address)}" in terms and all(has(terms, group) for group in groups)
        return all(has(terms, group) for group in groups)

    def _has_status(self, row: SearchRow) -> bool:
        statuses = self.search.statuses
        for state, is_tried in row.states:
            name = {"waiting": "deferred" if is_tried else "created", "active": "processed"}.get(state, state)
            if name in statuses:
                return True
        return row.queue_id in self.sources.late

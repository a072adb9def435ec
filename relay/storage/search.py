"""Search of messages: from the most selective source of candidates, each checked, newest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from relay.mail.canonical_address import canonical, domain_of, keys_of
from relay.mail.queue_id import TIME_DIGITS, queue_id
from relay.reports.search import Found, Search, Term, has
from relay.storage import timelines
from relay.storage.database import Connection, Database
from relay.storage.message_queries import CATEGORY, IS_LATE, OPEN, equals
from relay.storage.rows import text
from relay.storage.search_blocks import (
    INDEXED,
    LAST,
    PARAMETERS,
    Part,
    SearchRow,
    candidates,
    extend,
    forget,
    full_terms,
    id_batches,
    rows,
)

LOOKED_AT = 2000
"""Messages that one search compares, at most: it takes some hundredths of a second, and the next one goes on."""

_FIRST = 60
"""Messages that are compared first; then as many as before, twice: the first ones mostly suffice."""

MAX_PARTS = 400
"""Parts of the candidates that one search reads, at most: of the index a part is a block."""

_CHUNK = 250

MAX_OPEN = 5000
"""Open entries up to which they are the source for their status; of more there are enough among the newest messages."""

MAX_OF_ADDRESS = 5000
"""Messages to one recipient that are read, at most: the newest."""

NEWEST = "SELECT queue_id FROM messages WHERE queue_id > ? AND queue_id < ? ORDER BY queue_id DESC LIMIT ?"

LABELLED = (
    "SELECT queue_id FROM labels WHERE name = ? AND value = ? AND queue_id > ? AND queue_id < ? "
    "ORDER BY queue_id DESC LIMIT ?"
)

OPEN_ROWS = f"SELECT count(*) FROM (SELECT 1 FROM entries INDEXED BY entries_open WHERE {OPEN} LIMIT ?) AS counted"  # noqa: S608

OPEN_MESSAGES = f"SELECT queue_id FROM entries INDEXED BY entries_open WHERE {OPEN}"  # noqa: S608  names only
"""A message has a row for each open entry: to make them different, SQLite would read all entries in their order."""

FAILED_MESSAGES = (
    "SELECT DISTINCT queue_id FROM entries WHERE state IN ('bounced', 'dropped') AND state = ? "
    "AND queue_id > ? AND queue_id < ? ORDER BY queue_id DESC LIMIT ?"
)

_OF_CATEGORY = f"kind IN ('bounced', 'deferred') AND {CATEGORY} = ?"

OF_CATEGORY = (
    f"SELECT DISTINCT queue_id FROM events INDEXED BY events_by_category WHERE {_OF_CATEGORY} "  # noqa: S608  names only
    "AND queue_id > ? AND queue_id < ? ORDER BY queue_id DESC LIMIT ?"
)

LATE = (
    f"SELECT DISTINCT queue_id FROM events INDEXED BY events_late WHERE {IS_LATE} "  # noqa: S608  names only
    "AND queue_id > ? AND queue_id < ? ORDER BY queue_id DESC LIMIT ?"
)

AMONG = f"SELECT queue_id FROM events INDEXED BY events_by_message WHERE queue_id IN ({PARAMETERS}) AND "  # noqa: S608

_WAITING = frozenset({"created", "deferred", "processed", "held"})


class SearchTable:
    """Implements SearchStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(self, search: Search) -> Found:
        """Return the messages that match, newest first. A search that would take long stops, and says so."""
        return await self._database.read(lambda raw: _Run(raw, search).found())

    async def extend(self, before: float) -> int:
        """Index a block of the oldest messages that are not indexed and came before that time; return their number."""
        return await self._database.write(extend(before))

    async def forget(self) -> int:
        """Delete the blocks whose messages are all gone; return the number of rows."""
        return await self._database.write(forget)


@dataclass(slots=True)
class _Run:
    """One search on one connection."""

    raw: Connection
    search: Search
    newest: str = ""
    oldest: str = ""
    groups: list[tuple[Term, ...]] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    """Messages among those that are compared with a failure of the category."""
    late: set[str] = field(default_factory=set)
    """Messages among them that bounced after their delivery."""

    def __post_init__(self) -> None:
        search = self.search
        until = queue_id(search.until, 0) if search.until is not None else LAST
        self.newest = min(search.before or LAST, until)
        self.oldest = queue_id(search.since, 0)[:TIME_DIGITS] if search.since > 0 else ""
        self.groups = [*search.groups]
        if search.recipient and "@" not in search.recipient:
            self.groups.append((Term(f"r:{domain_of(search.recipient)}"),))

    def found(self) -> Found:
        """Return the page."""
        matching: list[str] = []
        looked_at = 0
        for read, part in enumerate(self._parts(), 1):
            start = 0
            while chunk := part.ids[start : start + min(_FIRST + looked_at, LOOKED_AT - looked_at)]:
                start += len(chunk)
                looked_at += len(chunk)
                self._look_up(chunk)
                for row in rows(self.raw, chunk):
                    if self._matches(row):
                        matching.append(row.queue_id)
                        if len(matching) > self.search.limit:
                            return self._page(matching[:-1], matching[-2])
                if looked_at >= LOOKED_AT:
                    return self._page(matching, chunk[-1], is_cut=True)
            if read >= MAX_PARTS and part.reached:
                return self._page(matching, part.reached, is_cut=True)
        return self._page(matching, "")

    def _look_up(self, ids: Sequence[str]) -> None:
        """Find out which of these messages failed, as far as the search is about it."""
        if self.search.category:
            self.failed = self._among(ids, _OF_CATEGORY, self.search.category)
        if "bounced" in self.search.statuses:
            self.late = self._among(ids, IS_LATE)

    def _among(self, ids: Sequence[str], condition: str, *values: str) -> set[str]:
        return {row[0] for some in id_batches(ids) for row in self.raw.execute(AMONG + condition, [*some, *values])}

    def _page(self, matching: Sequence[str], following: str, *, is_cut: bool = False) -> Found:
        return Found(timelines.listed_stories(self.raw, matching), following, is_cut)

    def _matches(self, row: SearchRow) -> bool:
        search = self.search
        if (search.users_only and row.origin) or (search.domains and row.domain not in search.domains):
            return False
        if search.category and row.queue_id not in self.failed:
            return False
        if search.statuses and not self._has_status(row):
            return False
        if search.labels and not row.has_labels(search.labels):
            return False
        recipients = set(row.recipients)
        if "@" in search.recipient and recipients.isdisjoint(keys_of(search.recipient)):
            return False
        terms = row.terms() if self.groups or search.address else set()
        if search.address and recipients.isdisjoint(keys_of(search.address)):
            return f"f:{canonical(search.address)}" in terms and all(has(terms, group) for group in self.groups)
        return all(has(terms, group) for group in self.groups)

    def _has_status(self, row: SearchRow) -> bool:
        statuses = self.search.statuses
        for state, is_tried in row.states:
            name = {"waiting": "deferred" if is_tried else "created", "active": "processed"}.get(state, state)
            if name in statuses:
                return True
        return row.queue_id in self.late

    def _parts(self) -> Iterator[Part]:
        """Yield candidates from the source that has the fewest, as far as that is known without counting."""
        search = self.search
        if "@" in search.recipient:
            yield Part(self._of_recipient(search.recipient), "")
        elif search.labels:
            yield from self._paged(LABELLED, *map(text, search.labels[0]))
        elif search.category:
            yield from self._paged(OF_CATEGORY, search.category)
        elif search.address:
            yield from self._of_address(search.address)
        elif self.groups:
            yield from self._indexed([full_terms(self.raw, group) for group in self.groups])
        elif search.statuses and search.statuses <= {"bounced", "dropped"}:
            yield from self._failed()
        elif search.statuses and search.statuses <= _WAITING and self._has_few_open():
            open_ones = {row[0] for row in self.raw.execute(OPEN_MESSAGES)}
            yield Part(sorted((one for one in open_ones if self.oldest < one < self.newest), reverse=True), "")
        elif search.domains:
            yield from self._indexed([])
        else:
            yield from self._paged(NEWEST)

    def _indexed(self, groups: list[list[str]]) -> Iterator[Part]:
        """Yield the messages that are not indexed yet, then those of the index."""
        if self.search.domains:
            groups = [*groups, [f"f:{domain_of(one)}" for one in self.search.domains]]
        last = self.raw.execute(INDEXED).fetchone()[0] or ""
        yield from self._paged(NEWEST, oldest=max(last, self.oldest))
        if last > self.oldest:
            yield from candidates(self.raw, groups, self.newest, self.oldest)

    def _of_address(self, address: str) -> Iterator[Part]:
        """Yield the messages to and from an address."""
        to = self._of_recipient(address)
        for part in self._indexed([[f"f:{canonical(address)}"]]):
            here = [one for one in to if one >= part.reached]
            to = to[len(here) :]
            yield Part(sorted({*here, *part.ids}, reverse=True), part.reached)
        yield Part(to, "")

    def _of_recipient(self, address: str) -> list[str]:
        keys = keys_of(address)
        sql = (
            f"SELECT DISTINCT queue_id FROM entries WHERE {equals('recipient_key', keys)} "  # noqa: S608  names only
            "AND queue_id > ? AND queue_id < ? ORDER BY queue_id DESC LIMIT ?"
        )
        return [row[0] for row in self.raw.execute(sql, [*keys, self.oldest, self.newest, MAX_OF_ADDRESS])]

    def _paged(self, sql: str, *values: str, oldest: str = "") -> Iterator[Part]:
        """Yield the queue ids of a statement that ends with bounds and a limit, page by page."""
        lowest, highest = oldest or self.oldest, self.newest
        while ids := [row[0] for row in self.raw.execute(sql, [*values, lowest, highest, _CHUNK])]:
            yield Part(ids, ids[-1])
            highest = ids[-1]

    def _failed(self) -> Iterator[Part]:
        """Yield the messages with a recipient that bounced or was dropped, as far as the statuses ask for it."""
        sources = [(FAILED_MESSAGES, [one]) for one in sorted(self.search.statuses)]
        if "bounced" in self.search.statuses:
            sources.append((LATE, []))
        highest = self.newest
        while True:
            bounds = (self.oldest, highest, _CHUNK)
            found = {row[0] for sql, values in sources for row in self.raw.execute(sql, [*values, *bounds])}
            ids = sorted(found, reverse=True)[:_CHUNK]
            yield Part(ids, ids[-1] if ids else "")
            if len(ids) < _CHUNK:
                return
            highest = ids[-1]

    def _has_few_open(self) -> bool:
        count: int = self.raw.execute(OPEN_ROWS, (MAX_OPEN + 1,)).fetchone()[0]
        return count <= MAX_OPEN

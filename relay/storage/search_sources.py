"""Where a search takes its candidates from: the source that has the fewest. SQL and its values.

A status or category that few messages have is a source by itself, at first. If its newest messages are mostly others
than those that are searched, the index of searches goes on: its candidates are picked by the indexes of statuses and
categories before a message is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from relay.mail.canonical_address import canonical, domain_of, keys_of
from relay.mail.queue_id import TIME_DIGITS, queue_id
from relay.reports.search import Search, Term
from relay.storage.database import Connection
from relay.storage.message_queries import CATEGORY, IS_LATE, equals
from relay.storage.rows import OPEN, text
from relay.storage.search_blocks import INDEXED, LAST, PARAMETERS, Part, candidates, full_terms, id_batches

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

FEW = 1000
"""Messages up to which a status is the only source, whatever else is searched."""

_FIRST_PARTS = 2
"""Parts of messages with a status or category that are compared before the index goes on."""

FAILED_ROWS = (
    "SELECT count(*) FROM (SELECT 1 FROM entries WHERE state IN ('bounced', 'dropped') AND state = ? "
    "AND queue_id > ? AND queue_id < ? LIMIT ?) AS counted"
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

LATE_AMONG = (
    f"SELECT DISTINCT queue_id FROM events INDEXED BY events_late WHERE {IS_LATE} AND queue_id IN ({PARAMETERS})"  # noqa: S608
)

CATEGORY_AMONG = (
    f"SELECT DISTINCT queue_id FROM events INDEXED BY events_by_category WHERE {_OF_CATEGORY} "  # noqa: S608
    f"AND queue_id IN ({PARAMETERS})"
)

FAILED_AMONG = (
    "SELECT DISTINCT queue_id FROM entries WHERE state IN ('bounced', 'dropped') AND state = ? "  # noqa: S608
    f"AND queue_id IN ({PARAMETERS})"
)

_FAILED = frozenset({"bounced", "dropped"})

_WAITING = frozenset({"created", "deferred", "processed", "held"})


@dataclass(slots=True)
class Sources:
    """The candidates of one search on one connection."""

    raw: Connection
    search: Search
    newest: str = ""
    oldest: str = ""
    groups: list[tuple[Term, ...]] = field(default_factory=list)
    late: set[str] = field(default_factory=set)
    """Messages among those that were picked last that bounced after their delivery."""
    _open: frozenset[str] | None = None
    """Messages that wait, if only these are searched and they are few."""
    _by_status: bool = False
    """Whether the source has only messages of the statuses."""
    _by_category: bool = False

    def __post_init__(self) -> None:
        search = self.search
        until = queue_id(search.until, 0) if search.until is not None else LAST
        self.newest = min(search.before or LAST, until)
        self.oldest = queue_id(search.since, 0)[:TIME_DIGITS] if search.since > 0 else ""
        self.groups = [*search.groups]
        if search.recipient and "@" not in search.recipient:
            self.groups.append((Term(f"r:{domain_of(search.recipient)}"),))

    @property
    def picks(self) -> bool:
        """Whether an index picks candidates before they are read."""
        return bool(
            self._open is not None
            or (self.search.category and not self._by_category)
            or (self.search.statuses and self.search.statuses <= _FAILED and not self._by_status)
        )

    def pick(self, ids: Sequence[str]) -> Sequence[str]:
        """Return those of the candidates that may have status and category, in their order, and note late bounces."""
        search = self.search
        if "bounced" in search.statuses:
            self.late = self._among(LATE_AMONG, ids)
        if search.category and not self._by_category:
            found = self._among(CATEGORY_AMONG, ids, search.category)
            ids = [one for one in ids if one in found]
        if self._open is not None:
            ids = [one for one in ids if one in self._open]
        elif search.statuses and search.statuses <= _FAILED and not self._by_status:
            failed = self.late.union(*(self._among(FAILED_AMONG, ids, one) for one in search.statuses))
            ids = [one for one in ids if one in failed]
        return ids

    def _among(self, sql: str, ids: Sequence[str], *values: str) -> set[str]:
        """Return which of the ids a statement finds that has these values before them."""
        return {row[0] for some in id_batches(ids) for row in self.raw.execute(sql, [*values, *some])}

    def parts(self) -> Iterator[Part]:
        """Return candidates from the source that has the fewest, as far as that is known without counting many."""
        search = self.search
        self._note_open()
        if "@" in search.recipient:
            return iter([Part(self._of_recipient(search.recipient), "")])
        if search.labels:
            return self._paged(LABELLED, *map(text, search.labels[0]))
        if search.address:
            return self._of_address(search.address)
        groups = self._terms()
        if search.category:
            self._by_category = True
            return self._first(self._paged(OF_CATEGORY, search.category), groups)
        if self._open is not None and (not groups or len(self._open) <= FEW):
            return iter([Part(sorted(self._open, reverse=True), "")])
        if search.statuses and search.statuses <= _FAILED:
            self._by_status = True
            return self._first(self._failed(), [] if self._has_few_failed() else groups)
        return self._indexed(groups) if groups else self._paged(NEWEST)

    def _first(self, parts: Iterator[Part], groups: list[list[str]]) -> Iterator[Part]:
        """Yield messages with a status or category; after some of them those of the index, if there are groups."""
        for read, part in enumerate(parts, 1):
            yield part
            if read >= _FIRST_PARTS and groups and part.reached:
                self._by_status = self._by_category = False
                self.newest = part.reached
                # The index begins with the block that has `newest`, whose end lies behind it.
                for further in self._indexed(groups):
                    yield Part(further.ids, min(further.reached, self.newest))
                return

    def _terms(self) -> list[list[str]]:
        """Return the terms of the index, of each group of which a message has one."""
        groups = [full_terms(self.raw, group) for group in self.groups]
        return [*groups, [f"f:{domain_of(one)}" for one in self.search.domains]] if self.search.domains else groups

    def _note_open(self) -> None:
        """Read the messages that wait, if they are searched and few, and search no further than the oldest of them."""
        statuses = self.search.statuses
        if not statuses or not statuses <= _WAITING or not self._has_few_open():
            return
        found = {row[0] for row in self.raw.execute(OPEN_MESSAGES)}
        self._open = frozenset(one for one in found if self.oldest < one < self.newest)
        if self._open:
            self.oldest = max(self.oldest, min(self._open)[:-1])
            self.newest = min(self.newest, f"{max(self._open)}{LAST}")

    def _indexed(self, groups: list[list[str]]) -> Iterator[Part]:
        """Yield the messages that are not indexed yet, then those of the index."""
        last = self.raw.execute(INDEXED).fetchone()[0] or ""
        yield from self._paged(NEWEST, oldest=max(last, self.oldest))
        if last > self.oldest:
            yield from candidates(self.raw, groups, self.newest, self.oldest)

    def _of_address(self, address: str) -> Iterator[Part]:
        """Yield the messages to and from an address."""
        to = self._of_recipient(address)
        domains = [[f"f:{domain_of(one)}" for one in self.search.domains]] if self.search.domains else []
        for part in self._indexed([[f"f:{canonical(address)}"], *domains]):
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

    def _has_few_failed(self) -> bool:
        bounds = (self.oldest, self.newest, FEW + 1)
        counts = [self.raw.execute(FAILED_ROWS, (one, *bounds)).fetchone()[0] for one in self.search.statuses]
        return bool(sum(counts) <= FEW)

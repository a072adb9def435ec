"""Reads the rows that an audit compares, in steps of bounded size, each on one snapshot.

Queue ids lead through all tables: each has an index that begins with them. Nothing is written or locked.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from relay.reports.store_audit import COMPARED, AuditedEntry, AuditedMessage
from relay.storage.database import Connection, Operation

T = TypeVar("T")

STEP = 500
"""Entries in a step, at most, besides those of its last message."""

BOUNDS = tuple(
    f"SELECT queue_id FROM {table} WHERE queue_id > ? ORDER BY queue_id LIMIT 1 OFFSET {rows - 1}"  # noqa: S608
    for table, rows in (("messages", STEP), ("entries", STEP), ("events", 4 * STEP))
)
"""The queue id at which each table has the rows of one step."""

_RANGE = "WHERE queue_id > ? AND queue_id <= ?"

MESSAGES = f"SELECT queue_id, created_at, identity, metadata FROM messages {_RANGE}"  # noqa: S608  names only

ENTRIES = f"SELECT queue_id, number, created_at, state, lease FROM entries {_RANGE}"  # noqa: S608  names only

CONTENTS = f"SELECT queue_id FROM contents {_RANGE}"  # noqa: S608  names only

_KINDS = ", ".join(f"'{kind}'" for kind in COMPARED)

EVENTS = (
    f"SELECT queue_id, number, kind, count(*), min(at) FROM events {_RANGE} "  # noqa: S608  names only
    f"AND kind IN ({_KINDS}) AND data NOT LIKE '%\"late\":true%' GROUP BY queue_id, number, kind"
)

END = "\U0010ffff"
"""Sorts after every queue id."""

_RECORD = '{"not_forwarded":'
"""Beginning of the metadata of a record of mail that was not forwarded."""


@dataclass(slots=True)
class _Rows:
    """The rows of one queue id, while a step reads them."""

    stored_at: float | None = None
    """Time of the row in `messages`, None without one."""
    identity: str = ""
    is_record: bool = False
    has_content: bool = False
    first_at: float = float("inf")
    """Time of the first entry or event."""
    entries: dict[int, AuditedEntry] = field(default_factory=dict)
    events: dict[int, Counter[str]] = field(default_factory=dict)

    def audited(self, queue_id: str) -> AuditedMessage:
        """Return the rows as a value."""
        first_at = self.first_at if self.entries or self.events else 0.0
        return AuditedMessage(
            queue_id,
            first_at if self.stored_at is None else self.stored_at,
            self.identity,
            is_stored=self.stored_at is not None,
            is_record=self.is_record,
            has_content=self.has_content,
            entries=self.entries,
            events=self.events,
        )


def audit_step(after: str) -> Operation[tuple[list[AuditedMessage], str | None]]:
    """Return the messages of one step that begins behind that queue id, and where the next step begins.

    The latter is None when the tables are read to their end.
    """

    def operation(raw: Connection) -> tuple[list[AuditedMessage], str | None]:
        bounds = [row[0] for row in (raw.execute(sql, (after,)).fetchone() for sql in BOUNDS) if row is not None]
        until = min(bounds, default=END)
        found = _read(raw, (after, until))
        return [rows.audited(queue_id) for queue_id, rows in sorted(found.items())], until if bounds else None

    return operation


def _read(raw: Connection, span: tuple[str, str]) -> dict[str, _Rows]:
    found: dict[str, _Rows] = {}

    def rows_of(queue_id: str) -> _Rows:
        return found.setdefault(queue_id, _Rows())

    for queue_id, created_at, identity, metadata in raw.execute(MESSAGES, span):
        rows = rows_of(queue_id)
        rows.stored_at, rows.identity, rows.is_record = created_at, identity, metadata.startswith(_RECORD)

    for queue_id, number, created_at, state, lease in raw.execute(ENTRIES, span):
        rows = rows_of(queue_id)
        rows.entries[number] = AuditedEntry(state, leased=lease != "")
        rows.first_at = min(rows.first_at, created_at)

    for (queue_id,) in raw.execute(CONTENTS, span):
        rows_of(queue_id).has_content = True

    for queue_id, number, kind, count, at in raw.execute(EVENTS, span):
        rows = rows_of(queue_id)
        rows.events.setdefault(number, Counter())[kind] = count
        rows.first_at = min(rows.first_at, at)
    return found


class ReadingDatabase(Protocol):
    """The part of a database that an audit needs."""

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that only reads, on one snapshot."""


class AuditReader:
    """Implements AuditStore."""

    def __init__(self, database: ReadingDatabase, kept_since: Callable[[float], Operation[float]]) -> None:
        """`kept_since` returns from when on all events of stored messages are kept, given that of the retention."""
        self._database = database
        self._kept_since = kept_since

    async def complete_since(self, retained_since: float) -> float:
        """Return the time since which no event of a stored message is deleted."""
        return await self._database.read(self._kept_since(retained_since))

    async def step(self, after: str) -> tuple[list[AuditedMessage], str | None]:
        """Return the messages of one step, and where the next one begins."""
        return await self._database.read(audit_step(after))


def kept_with_messages(retained_since: float) -> Operation[float]:
    """Return 0: a store that deletes events together with their message has all of them."""
    del retained_since
    return lambda _: 0.0

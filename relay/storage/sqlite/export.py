"""Export of a whole SQLite database: its tables, in the order of their keys. Blocking."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from relay.events.ports import StoreError
from relay.limits.window import DAY
from relay.storage.rows import text
from relay.storage.sqlite import schema
from relay.storage.sqlite.connection import uri
from relay.storage.sqlite.lock import StoreLock
from relay.storage.sqlite.stats import TABLES

Row = tuple[Any, ...]

_CURRENT_SLOTS = (
    "at >= {day_ago} AND (at <= {now} OR EXISTS (SELECT 1 FROM entries "
    "WHERE entries.queue_id = slots.queue_id AND entries.number = slots.number))"
)
"""Slots to copy: those that a window still covers and whose message was stored."""

_QUEUE = (
    "SELECT count(*), coalesce(sum(attempts), 0), coalesce(sum(next_attempt_at), 0), "
    "(SELECT coalesce(max(id), 0) FROM events) FROM entries"
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its columns, and the columns of its primary key in order."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    def key_of(self, row: Row) -> list[Any]:
        """Return the key of a row."""
        return [row[self.columns.index(column)] for column in self.key]


class SqliteExport:
    """The database, locked against any server until `close`."""

    def __init__(self, path: Path, lock: StoreLock, raw: sqlite3.Connection) -> None:
        """Use `open`."""
        self.path = path
        self._lock = lock
        self._raw = raw

    @classmethod
    def open(cls, path: Path) -> Self:
        """Lock the database and upgrade its schema. Raises StoreErrors that name the remedy."""
        if not path.exists():
            raise StoreError(f"{path}: there is no database; storage.url names what is to be copied")
        lock = schema.take(path)
        return cls(path, lock, sqlite3.connect(uri(path, "ro"), uri=True))

    def close(self) -> None:
        """Release the database."""
        self._raw.close()
        self._lock.release()

    def tables(self) -> list[Table]:
        """Return all tables."""
        return [_described(self._raw, name) for (name,) in self._raw.execute(TABLES).fetchall()]

    def counts(self, now: float) -> Mapping[str, int]:
        """Return the number of rows to copy at that time, by table."""
        return {table.name: self._count(table, now) for table in self.tables()}

    def fingerprint(self) -> str:
        """Return a value that changes whenever a server writes to the database."""
        return sha256(repr(self._raw.execute(_QUEUE).fetchone()).encode()).hexdigest()

    def oldest_event(self) -> float | None:
        """Return the Unix time of the oldest event, None when there is none."""
        oldest: float | None = self._raw.execute("SELECT min(at) FROM events").fetchone()[0]
        return oldest

    def events_up_to(self, row: int) -> int:
        """Return the number of events up to a row."""
        count: int = self._raw.execute("SELECT count(*) FROM events WHERE id <= ?", (row,)).fetchone()[0]
        return count

    def active(self) -> set[tuple[str, int]]:
        """Return the entries that a killed server had in flight."""
        return set(self._raw.execute("SELECT queue_id, number FROM entries WHERE state = 'active'").fetchall())

    def rows(self, table: Table, after: Sequence[Any] | None, now: float) -> Iterator[Row]:
        """Yield the rows of a table in the order of its key, after a key where one is given."""
        conditions = [*_wanted(table, now)]
        key = ", ".join(table.key)
        if after is not None:
            conditions.append(f"({key}) > ({', '.join('?' * len(table.key))})")
        columns = ", ".join(table.columns)
        statement = f"SELECT {columns} FROM {table.name}{_where(conditions)} ORDER BY {key}"  # noqa: S608  names of the schema
        with closing(self._raw.execute(statement, after or ())) as cursor:
            for row in cursor:
                yield tuple(text(value) if isinstance(value, str) else value for value in row)

    def _count(self, table: Table, now: float) -> int:
        where = _where([*_wanted(table, now)])
        count: int = self._raw.execute(f"SELECT count(*) FROM {table.name}{where}").fetchone()[0]  # noqa: S608
        return count


def _described(raw: sqlite3.Connection, name: str) -> Table:
    columns = raw.execute(f"PRAGMA table_info({name})").fetchall()
    key = sorted((column[5], column[1]) for column in columns if column[5])
    return Table(name, tuple(column[1] for column in columns), tuple(column for _, column in key))


def _wanted(table: Table, now: float) -> Iterator[str]:
    if table.name == "slots":
        yield _CURRENT_SLOTS.format(now=now, day_ago=now - DAY)


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""

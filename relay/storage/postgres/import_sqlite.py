"""Copies a SQLite database into an empty PostgreSQL one, in batches.

Each transaction records its progress with its rows, so that an interrupted copy continues. No relay starts on the
target until the copy is complete (`schema.prepare`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Self

import psycopg

from relay.events.ports import StoreError
from relay.storage.postgres import nodes, partitions, schema
from relay.storage.postgres.connection import PostgresSession, Raw, Target, connect
from relay.storage.postgres.errors import store_error
from relay.storage.postgres.import_positions import convert_positions
from relay.storage.sqlite.export import Row, SqliteExport, Table

BATCH = 5000
"""Rows of one transaction."""

_BATCH_OCTETS = 16 << 20

_OLDEST_PART = 60
"""Weeks before now for which events get partitions of their own."""

_LOCK = "SELECT pg_advisory_lock(hashtext('relay transfer ' || current_schema()))"

_MAKE = (
    "CREATE TABLE IF NOT EXISTS relay_transfer (source TEXT NOT NULL, fingerprint TEXT NOT NULL, "
    "began_at DOUBLE PRECISION NOT NULL, done BOOLEAN NOT NULL, places TEXT NOT NULL)"
)

_PROGRESS = "SELECT source, fingerprint, began_at, done, places FROM relay_transfer"

_BEGIN = "INSERT INTO relay_transfer (source, fingerprint, began_at, done, places) VALUES (?, ?, ?, false, '{}')"

_NOTE = "UPDATE relay_transfer SET places = ?"

_DONE = "UPDATE relay_transfer SET done = true"

_LIVE_NODES = f"SELECT hostname FROM nodes WHERE lease != '' AND heartbeat_at >= {nodes.NOW} - ?"  # noqa: S608

_COLUMNS = (
    "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = ? "
    "AND is_identity = 'NO'"
)

_LEDGERS = (
    "INSERT INTO ledgers (key, change) SELECT key, max(change) FROM slots GROUP BY key "
    "ON CONFLICT (key) DO UPDATE SET change = excluded.change"
)

_LEFT_AT_DEFAULT = {"lease"}
"""Columns left at their default: the first node voids leases of ended processes."""


class TransferError(StoreError):
    """The copy cannot start or continue; the text names the remedy."""


class SqliteImport:
    """One copy, new or continued."""

    def __init__(self, source: SqliteExport, raw: Raw, batch: int) -> None:
        """Use `open`."""
        self._source = source
        self._raw = raw
        self._session = PostgresSession(raw)
        self._batch = batch
        self._places: dict[str, tuple[list[Any], int]] = {}
        self.began_at = 0.0
        self.done = False
        """Whether all rows are copied and counted."""
        self.counts: Mapping[str, int] = {}
        """Rows to be copied, by table."""

    @classmethod
    def open(cls, source: SqliteExport, target: Target, now: float, *, anew: bool = False, batch: int = BATCH) -> Self:
        """Connect, make the tables, and read the progress of an earlier run.

        `anew` discards the rows of an unfinished copy. Raises StoreErrors that name the remedy.
        """
        try:
            schema.prepare(target, unfinished=True)
            transfer = cls(source, connect(target), batch)
            try:
                transfer._begin(now, anew=anew)
            except BaseException:
                transfer.close()
                raise
        except psycopg.Error as error:
            raise store_error(error) from error
        return transfer

    def close(self) -> None:
        """Close the connection; copied rows stay."""
        self._raw.close()

    @property
    def copied(self) -> Mapping[str, int]:
        """Number of rows already copied, by table."""
        return {name: self._places[name][1] if name in self._places else 0 for name in self.counts}

    def run(self) -> Iterator[tuple[str, int]]:
        """Copy the remaining rows; after each transaction yield the table and its number of new rows."""
        try:
            for table in self._source.tables():
                yield from self._copy(table)
            self._finish()
        except psycopg.Error as error:
            raise store_error(error) from error

    def _begin(self, now: float, *, anew: bool) -> None:
        self._raw.execute("SET lock_timeout = '10s'")
        try:
            self._session.execute(_LOCK)
        except psycopg.errors.LockNotAvailable:
            raise TransferError("another copy into this database is under way; let that one end") from None

        if live := self._session.execute(_LIVE_NODES, (nodes.LEASE,)).fetchall():
            hosts = ", ".join(sorted({row[0] for row in live}))
            raise TransferError(f"a relay works on this PostgreSQL database already (on {hosts}); stop it first")
        with self._raw.transaction():
            self._session.execute(_MAKE)
            progress = self._session.execute(_PROGRESS).fetchone()
            if progress is not None and anew and not progress[3]:
                self._truncate()
                progress = None
            if progress is None:
                self._begin_anew(now)
            else:
                self._resume(progress)

        self.counts = self._source.counts(self.began_at)

    def _begin_anew(self, now: float) -> None:
        for table in self._source.tables():
            if self._session.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone():  # noqa: S608  names of the schema
                raise TransferError(
                    f"the PostgreSQL database is not empty: there are {table.name} in it; name an empty one"
                )
        self.began_at = now
        self._session.execute(_BEGIN, (str(self._source.path), self._source.fingerprint(), now))
        oldest = self._source.oldest_event()
        partitions.make_ahead(now, now if oldest is None else max(oldest, now - _OLDEST_PART * partitions.WEEK))(
            self._session
        )

    def _resume(self, progress: Row) -> None:
        source, fingerprint, self.began_at, self.done, places = progress
        if fingerprint != self._source.fingerprint():
            raise TransferError(
                f"{self._source.path} is not what was copied before (from {source}), or a relay has worked on it since"
                + (
                    ": a relay on PostgreSQL must not be given it a second time; name an empty database"
                    if self.done
                    else "; --anew throws that copy away and begins again"
                )
            )
        self._places = {name: (place[0], place[1]) for name, place in json.loads(places).items()}

    def _truncate(self) -> None:
        for table in self._source.tables():
            self._raw.execute(f"TRUNCATE {table.name}".encode())
        self._raw.execute("DELETE FROM relay_transfer")

    def _copy(self, table: Table) -> Iterator[tuple[str, int]]:
        existing = {row[0] for row in self._session.execute(_COLUMNS, (table.name,))} - _LEFT_AT_DEFAULT
        columns = [column for column in table.columns if column in existing]
        after, copied = self._places.get(table.name, (None, 0))
        for rows in _batches(self._source.rows(table, after, self.began_at), self._batch):
            copied += len(rows)
            place = (table.key_of(rows[-1]), copied)
            with self._raw.transaction():
                self._insert(table, columns, rows)
                self._session.execute(_NOTE, (json.dumps({**self._places, table.name: place}),))
            self._places[table.name] = place
            yield table.name, len(rows)

    def _insert(self, table: Table, columns: Sequence[str], rows: Iterable[Row]) -> None:
        places = [table.columns.index(column) for column in columns]
        more = self._marks(table)
        names = ", ".join([*columns, *more])
        with self._raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row((*(row[place] for place in places), *more.values()))

    def _marks(self, table: Table) -> Mapping[str, object]:
        """Return columns that only PostgreSQL has: nodes read rows of a ledger that are newer than their copy."""
        if table.name != "slots":
            return {}
        return {"change": self._session.execute("SELECT nextval('ledger_changes')").fetchone()[0], "node": ""}

    def _finish(self) -> None:
        for name, wanted in self.counts.items():
            there = self._session.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608  names of the schema
            if there != wanted:
                raise TransferError(
                    f"{name}: {there} rows are in PostgreSQL, and {wanted} in SQLite; --anew begins the copy again"
                )

        with self._raw.transaction():
            self._session.execute(_LEDGERS)
            convert_positions(self._session, self._source.events_up_to)
            self._session.execute(_DONE)
        self._raw.execute("ANALYZE")
        self.done = True


def _batches(rows: Iterator[Row], most: int) -> Iterator[list[Row]]:
    """Yield the rows in batches, bounded by their number and by the octets of their contents."""
    while batch := list(_bounded(rows, most)):
        yield batch


def _bounded(rows: Iterator[Row], most: int) -> Iterator[Row]:
    octets = 0
    for row in islice(rows, most):
        yield row
        octets += sum(len(value) for value in row if isinstance(value, bytes | str))
        if octets >= _BATCH_OCTETS:
            return

"""Figures of a store: database, schema, size, rows of each table. Blocking; a server may be running."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from relay.events.ports import StoreError
from relay.storage.errors import store_error
from relay.storage.sqlite import schema
from relay.storage.sqlite.connection import uri

TABLES = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' "
    "AND name NOT LIKE 'contents_damaged%' ORDER BY name"
)
"""All tables but those that were set aside because they are damaged."""


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Figures of one store. The size is in octets, with indexes and SQLite's log."""

    database: str
    version: str
    schema: int
    octets: int
    rows: Mapping[str, int]

    def head(self) -> dict[str, object]:
        """Return all figures but the rows, by name."""
        return {"database": self.database, "version": self.version, "schema": self.schema, "octets": self.octets}


Each = Callable[[Sequence[str]], Iterable[str]]
"""Yields the names of the tables that are counted: a place for a progress bar."""


def survey_sqlite(path: Path, each: Each = iter) -> StoreStats:
    """Survey a database file. Raises StoreErrors that name its fault."""
    if not path.exists():
        raise StoreError(f"{path}: there is no database; the first start of the server makes it")
    schema.check_header(path)
    try:
        with closing(sqlite3.connect(uri(path, "ro"), uri=True)) as raw:
            schema.check_database(raw, path)
            version = schema.check_version(raw, path, max(schema.migrations()))
            names = [name for (name,) in raw.execute(TABLES)]
            rows = {name: raw.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in each(names)}  # noqa: S608
    except sqlite3.Error as error:
        raise store_error(error, path) from error

    files = (path, Path(f"{path}-wal"))
    octets = sum(file.stat().st_size for file in files if file.exists())
    return StoreStats(f"SQLite, {path}", sqlite3.sqlite_version, version, octets, rows)

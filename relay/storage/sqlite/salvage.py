"""Sets the table of contents aside when only that is damaged, so that one unreadable message does not stop all mail.

The damaged table is renamed and never written again. A new one gets the contents of unfinished messages that can still
be read. The queue holds the messages whose content is then missing.
"""

import sqlite3
from dataclasses import dataclass
from typing import Any

from relay.storage.rows import OPEN

SET_ASIDE = "contents_damaged"
"""Name of the first table that was set aside; later ones have a number."""

_OPEN = f"SELECT DISTINCT queue_id FROM entries WHERE {OPEN}"  # noqa: S608  names only

_COPY = "contents_copy"

_BATCH = 20
"""Contents copied in one transaction: they are in memory together."""

_MAX_FAULTS = 1000
"""Faults that SQLite lists, at most."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Unfinished messages whose content was copied, and those whose content could not be read."""

    readable: int
    unreadable: int


def faults(raw: sqlite3.Connection) -> list[str]:
    """Return the faults that SQLite finds in the database, without those of tables that were set aside.

    A fault of the free pages is one of the whole database: a new row could overwrite another one.
    """
    found = [str(row[0]) for row in raw.execute(f"PRAGMA quick_check({_MAX_FAULTS})")]
    if found == ["ok"]:
        return []
    names = _tables(raw)
    if any("Freelist" in fault for fault in found) or not any(name.startswith(SET_ASIDE) for name in names):
        return found
    return [fault for name in names if not name.startswith(SET_ASIDE) for fault in _faults_of(raw, name)]


def set_contents_aside(raw: sqlite3.Connection) -> Salvaged | None:
    """Replace the table of contents by one with the readable contents. Return None if others are damaged too."""
    whole = [str(row[0]) for row in raw.execute(f"PRAGMA quick_check({_MAX_FAULTS})")]
    names = _tables(raw)
    others = [name for name in names if not name.startswith("contents")]
    if any("Freelist" in fault for fault in whole) or any(_faults_of(raw, name) for name in others):
        return None

    salvaged = _copy(raw)
    earlier = sum(name.startswith(SET_ASIDE) for name in names)
    name = f"{SET_ASIDE}_{earlier + 1}" if earlier else SET_ASIDE
    raw.executescript(
        f"BEGIN IMMEDIATE; ALTER TABLE contents RENAME TO {name}; ALTER TABLE {_COPY} RENAME TO contents; COMMIT"
    )
    return salvaged


def _copy(raw: sqlite3.Connection) -> Salvaged:
    """Copy what can be read. Reads are outside of transactions: after a damaged page SQLite refuses to write in one."""
    (sql,) = raw.execute("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'contents'").fetchone()
    raw.executescript(f"DROP TABLE IF EXISTS {_COPY}; {sql.replace('contents', _COPY, 1)}")
    readable = unreadable = 0
    queue_ids = [queue_id for (queue_id,) in raw.execute(_OPEN).fetchall()]
    for start in range(0, len(queue_ids), _BATCH):
        batch = queue_ids[start : start + _BATCH]
        rows = [row for row in (_content(raw, queue_id) for queue_id in batch) if row is not None]
        raw.execute("BEGIN IMMEDIATE")
        for row in rows:
            raw.execute(f"INSERT INTO {_COPY} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608  names only
        raw.execute("COMMIT")
        readable += len(rows)
        unreadable += len(batch) - len(rows)
    return Salvaged(readable, unreadable)


def _content(raw: sqlite3.Connection, queue_id: str) -> tuple[Any, ...] | None:
    try:
        row: tuple[Any, ...] | None = raw.execute("SELECT * FROM contents WHERE queue_id = ?", (queue_id,)).fetchone()
    except sqlite3.DatabaseError:
        return None
    return row


def _tables(raw: sqlite3.Connection) -> list[str]:
    found = raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    return [name for (name,) in found.fetchall()]


def _faults_of(raw: sqlite3.Connection, table: str) -> list[str]:
    found = [str(row[0]) for row in raw.execute(f"PRAGMA quick_check('{table}')")]
    return [] if found == ["ok"] else found

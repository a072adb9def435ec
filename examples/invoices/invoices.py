"""Invoices and what became of their mails: one SQLite file, changed by the events of relay.

An event may come twice, and late: by the webhook, by the feed, or by both. Its id makes it count once, and the first
time of each status stays.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS places (name TEXT PRIMARY KEY, place TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS invoices (
    number       TEXT PRIMARY KEY,
    recipient    TEXT NOT NULL,
    delivered_at TEXT,
    opened_at    TEXT,
    bounced_at   TEXT,
    reason       TEXT NOT NULL DEFAULT ''
);
"""

COLUMNS = {
    "message.delivered": "delivered_at",
    "message.open": "opened_at",
    "message.click": "opened_at",
    "message.bounced": "bounced_at",
}
"""The column that an event sets, by its type. Who follows a link has opened the mail."""


class Invoices:
    """All invoices of one file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with closing(self._open()) as database:
            database.executescript(SCHEMA)

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file, timeout=10)
        database.row_factory = sqlite3.Row
        return database

    def apply(self, events: Iterable[Mapping[str, Any]], place: str = "") -> int:
        """Apply events, and store the place in the feed with them; return how many were new."""
        new = 0
        with closing(self._open()) as database, database:
            for event in events:
                added = database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (event["data"]["id"],)).rowcount
                if added:
                    new += 1
                    _apply(database, event["type"], event["timestamp"], event["data"])
            if place:
                database.execute("INSERT OR REPLACE INTO places VALUES ('feed', ?)", (place,))
        return new

    @property
    def place(self) -> str:
        """The place in the feed, "" at the beginning."""
        with closing(self._open()) as database:
            row = database.execute("SELECT place FROM places WHERE name = 'feed'").fetchone()
        return row["place"] if row else ""

    def all(self) -> list[dict[str, Any]]:
        """Return the invoices by number."""
        with closing(self._open()) as database:
            return [dict(row) for row in database.execute("SELECT * FROM invoices ORDER BY number")]


def _apply(database: sqlite3.Connection, kind: str, at: str, data: Mapping[str, Any]) -> None:
    number, column = data["metadata"].get("invoice"), COLUMNS.get(kind)
    if number is None or column is None or data.get("machine"):
        return
    reason = data["bounce"]["title"] if kind == "message.bounced" else ""
    database.execute("INSERT OR IGNORE INTO invoices (number, recipient) VALUES (?, ?)", (number, data["recipient"]))
    database.execute(
        f"UPDATE invoices SET {column} = min(coalesce({column}, ?1), ?1), "
        "reason = CASE WHEN ?2 = '' THEN reason ELSE ?2 END WHERE number = ?3",
        (at, reason, number),
    )

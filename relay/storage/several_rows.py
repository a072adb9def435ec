"""Statements for several rows at once.

SQLite's driver gives the interpreter's lock away in each statement, and waits until the event loop has time for it. So
one statement for eight rows lets a transaction wait less often than eight statements. PostgreSQL's driver sends the
statements of all rows together, and they lock rows in the order of the parameters.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

from relay.storage.database import Connection
from relay.storage.rows import Row

MAX_ROWS = 64
"""Rows of one statement, at most."""

_VALUES = " VALUES "


def insert_rows(raw: Connection, one: str, rows: Sequence[Row]) -> None:
    """Run a statement of `rows.insertion` for each of the rows."""
    head, _, _ = one.partition(_VALUES)
    change_rows(raw, one, f"{head}{_VALUES}{{rows}}", rows)


def change_rows(raw: Connection, one: str, several: str, rows: Sequence[Row]) -> int:
    """Run the statement `one` for each of the rows, or `several` for some together; return how many rows it changed.

    The rows of parameters take the place of `{rows}` in `several`. Each must concern other rows of the table.
    """
    if len(rows) < 2 or not isinstance(raw, sqlite3.Connection):
        return raw.executemany(one, rows).rowcount if rows else 0
    changed = 0
    for some in parts(rows):
        changed += raw.execute(statement_for(several, len(some), len(some[0])), [*chain.from_iterable(some)]).rowcount
    return changed


def parts(rows: Sequence[Row], most: int = MAX_ROWS) -> Iterator[Sequence[Row]]:
    """Yield the rows in parts of `most`, and then of 64, 32, 16, 8, 4, 2 and 1: few statements to prepare."""
    start = 0
    while start < len(rows):
        left = len(rows) - start
        size = most if left >= most else 1 << left.bit_length() - 1
        yield rows[start : start + size]
        start += size


@lru_cache(maxsize=256)
def statement_for(several: str, rows: int, columns: int) -> str:
    """Return the statement for a number of rows, each of that many columns."""
    places = f"({', '.join('?' * columns)})"
    return several.format(rows=", ".join([places] * rows))

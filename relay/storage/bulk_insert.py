"""Insertion of several rows by one statement.

SQLite's driver releases the GIL in each statement, and waits for it until the event loop releases it. So a transaction
waits less often in one statement for eight rows than in eight. PostgreSQL's driver sends the statements of all rows
together.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import TypeVar

from relay.storage.database import Connection
from relay.storage.rows import Row

T = TypeVar("T")

MAX_ROWS = 64
"""Rows of one statement, at most."""


def insert_rows(raw: Connection, statement: str, rows: Sequence[Row]) -> None:
    """Insert rows by a statement of `rows.insertion`, which inserts one."""
    if not isinstance(raw, sqlite3.Connection):
        raw.executemany(statement, rows)
        return
    for some in batched(rows):
        raw.execute(insertion_of(statement, len(some)), [*chain.from_iterable(some)])


@lru_cache(maxsize=256)
def insertion_of(statement: str, rows: int) -> str:
    """Return the statement that inserts that many rows, by the one for a single row."""
    head, values, places = statement.partition(" VALUES ")
    return f"{head}{values}{', '.join([places] * rows)}"


def batched(rows: Sequence[T], most: int = MAX_ROWS) -> Iterator[Sequence[T]]:
    """Yield the rows in parts of `most`, and then of 64, 32, 16, 8, 4, 2 and 1: few statements to prepare."""
    start = 0
    while start < len(rows):
        left = len(rows) - start
        size = most if left >= most else 1 << left.bit_length() - 1
        yield rows[start : start + size]
        start += size

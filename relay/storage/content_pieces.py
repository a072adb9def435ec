"""Large contents, read piece by piece: no content is in memory as a whole."""

import sqlite3
from collections.abc import Iterator, Sequence

from relay.content_file import HEAD, LARGE, PIECE, UnreadContent
from relay.storage.bulk_insert import insert_rows
from relay.storage.database import Connection
from relay.storage.rows import INSERT_CONTENT, MESSAGE_COLUMNS, MESSAGE_WIDTH, Row

_SIZE = MESSAGE_COLUMNS.split(", ").index("size")

SMALL = 64 * 1024
"""Octets of a content that is inserted with others at once, at most: the driver keeps the last values of statements."""

ROW = "SELECT rowid FROM contents WHERE queue_id = ?"

INSERT_EMPTY = INSERT_CONTENT.replace("VALUES (?, ?, ?)", "VALUES (?, zeroblob(?), ?)")

SUBSTRING = "SELECT substring(content FROM ?::int FOR ?::int) FROM contents WHERE queue_id = ?"


def pieces(raw: Connection, queue_id: str, size: int = PIECE) -> Iterator[bytes]:
    """Yield the content of a message, piece by piece; nothing if there is none."""
    if isinstance(raw, sqlite3.Connection):
        row = raw.execute(ROW, (queue_id,)).fetchone()
        if row is not None:
            with raw.blobopen("contents", "content", row[0], readonly=True) as blob:
                while piece := blob.read(size):
                    yield piece
        return

    start = 1
    while (row := raw.execute(SUBSTRING, (start, size, queue_id)).fetchone()) is not None and row[0]:
        yield bytes(row[0])
        start += size


def with_unread(raw: Connection, row: Row) -> Row:
    """Return a row of message, content and digest; a content that was left in the store becomes `UnreadContent`."""
    content, digest = row[MESSAGE_WIDTH:]
    if content is not None or digest is None:
        return row
    return *row[:MESSAGE_WIDTH], UnreadContent(row[_SIZE], next(pieces(raw, row[0], HEAD), b"")), digest


def insert_contents(raw: Connection, rows: Sequence[Row]) -> None:
    """Insert rows of contents. SQLite gets large ones piece by piece: it would copy a whole one twice."""
    if not isinstance(raw, sqlite3.Connection):
        raw.executemany(INSERT_CONTENT, rows)
        return
    insert_rows(raw, INSERT_CONTENT, [row for row in rows if len(row[1]) <= SMALL])
    raw.executemany(INSERT_CONTENT, (row for row in rows if SMALL < len(row[1]) <= LARGE))
    for queue_id, content, digest in (row for row in rows if len(row[1]) > LARGE):
        raw.execute(INSERT_EMPTY, (queue_id, len(content), digest))
        (rowid,) = raw.execute(ROW, (queue_id,)).fetchone()
        view = memoryview(content)
        with raw.blobopen("contents", "content", rowid) as blob:
            for start in range(0, len(content), PIECE):
                blob.write(view[start : start + PIECE])

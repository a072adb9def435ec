"""Large contents, read piece by piece: no content is in memory as a whole."""

import sqlite3
from collections.abc import Iterator

from relay.content_file import HEAD, PIECE, UnreadContent
from relay.storage.database import Connection
from relay.storage.rows import MESSAGE_COLUMNS, MESSAGE_WIDTH, Row

_SIZE = MESSAGE_COLUMNS.split(", ").index("size")

ROW = "SELECT rowid FROM contents WHERE queue_id = ?"

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

"""Copies a stored content to a file, and compares it with what was accepted."""

import sqlite3
from collections.abc import Callable
from typing import BinaryIO

from relay.storage.content_pieces import pieces
from relay.storage.database import Connection
from relay.storage.errors import primary_code
from relay.storage.integrity import (
    CHANGED,
    MISSING,
    UNREADABLE,
    UNREADABLE_MESSAGE,
    digest_of_row,
    readable_message,
)
from relay.storage.rows import MESSAGE_COLUMNS, MESSAGE_WIDTH, qualified

ABOUT = (
    f"SELECT {qualified(MESSAGE_COLUMNS, 'messages')}, digest FROM messages "  # noqa: S608  names of the schema
    "LEFT JOIN contents ON contents.queue_id = messages.queue_id WHERE messages.queue_id = ?"
)


def copy_content(queue_id: str, file: BinaryIO) -> Callable[[Connection], str]:
    """Write the content of a message to the file, from its start. Return the damage, "" for none.

    Raises OSError of the file.
    """

    def operation(raw: Connection) -> str:
        file.seek(0)
        try:
            return _copy(raw, queue_id, file)
        except sqlite3.DatabaseError as error:
            if primary_code(error) != sqlite3.SQLITE_CORRUPT:
                raise
            return UNREADABLE

    return operation


def _copy(raw: Connection, queue_id: str, file: BinaryIO) -> str:
    row = raw.execute(ABOUT, (queue_id,)).fetchone()
    if row is None:
        return UNREADABLE_MESSAGE
    _, damage = readable_message(row)
    if damage:
        return damage
    stored = row[MESSAGE_WIDTH]
    if stored is None:
        return MISSING

    made = digest_of_row(row)
    for piece in pieces(raw, queue_id):
        made.update(piece)
        file.write(piece)
    return CHANGED if stored and made.digest() != stored else ""

"""Deletion of finished messages and of events after their retention time, batch by batch."""

from collections.abc import Callable, Sequence

from relay.storage.database import Connection
from relay.storage.json_columns import decode_list, decode_strings
from relay.storage.rows import UNFINISHED, label_rows

BATCH = 200
"""Messages deleted in one transaction; other writes run between two of them."""

OLD_MESSAGES = (
    "SELECT queue_id, created_at, tags, metadata FROM messages WHERE (created_at, queue_id) > (?, ?) "  # noqa: S608
    "AND created_at < ? AND NOT EXISTS (SELECT 1 FROM entries "
    f"WHERE entries.queue_id = messages.queue_id AND {UNFINISHED}) ORDER BY created_at, queue_id LIMIT {BATCH}"
)

OLD_EVENTS = f"SELECT id, at, queue_id FROM events WHERE id > ? ORDER BY id LIMIT {5 * BATCH}"  # noqa: S608

_DELETE_LABEL = "DELETE FROM labels WHERE name = ? AND value = ? AND queue_id = ?"

_NOT_LAST = "id < (SELECT max(id) FROM events)"
"""Keeps the last event: SQLite would give its id again, and readers of the feed would pass the new event."""

_DELETE_ORPHAN = (
    "DELETE FROM events WHERE id = ? AND NOT EXISTS (SELECT 1 FROM messages WHERE queue_id = ?) "  # noqa: S608  names only
    f"AND {_NOT_LAST}"
)

DELETES = (
    f"DELETE FROM events WHERE queue_id = ? AND {_NOT_LAST}",  # noqa: S608  names of the schema
    *(f"DELETE FROM {table} WHERE queue_id = ?" for table in ("entries", "contents", "sent_copies", "messages")),  # noqa: S608
)

DELETES_BESIDE_EVENTS = DELETES[1:]
"""For a store that drops events by their time, whatever their message."""


def purge_messages(
    before: float, after: tuple[float, str], deletes: Sequence[str] = DELETES
) -> Callable[[Connection], tuple[int, tuple[float, str]]]:
    """Delete a batch of finished messages created before that time, beginning `after` a time and queue id.

    Return their number and the start of the next batch.
    """

    def operation(raw: Connection) -> tuple[int, tuple[float, str]]:
        rows = raw.execute(OLD_MESSAGES, (*after, before)).fetchall()
        for queue_id, _, tags, metadata in rows:
            labels = label_rows(queue_id, decode_list(tags), decode_strings(metadata))
            raw.executemany(_DELETE_LABEL, labels)
            for statement in deletes:
                raw.execute(statement, (queue_id,))
        return len(rows), (rows[-1][1], rows[-1][0]) if rows else after

    return operation


def purge_events(before: float, after: int) -> Callable[[Connection], int | None]:
    """Delete events of unknown messages from before that time, beginning after that event id.

    Return the start of the next batch, None when the events reach that time. Ids follow the order of recording.
    """

    def operation(raw: Connection) -> int | None:
        rows = raw.execute(OLD_EVENTS, (after,)).fetchall()
        old = [(event, queue_id) for event, at, queue_id in rows if at < before]
        raw.executemany(_DELETE_ORPHAN, old)
        return rows[-1][0] if rows and len(old) == len(rows) else None

    return operation

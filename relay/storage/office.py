"""What operators change: entries one by one by a rule, and history that is old enough to forget.

Operations for the writer: they run inside its transaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from relay.events.event import Event
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.queue.ports import Change, EntryQuery
from relay.storage import codec
from relay.storage.database import Connection
from relay.storage.lanes import Lanes
from relay.storage.queries import EntryKey, entry_at
from relay.storage.rows import UNFINISHED, label_rows
from relay.storage.transactions import update

_CHANGEABLE = (State.WAITING, State.HELD)

PURGE_BATCH = 200
"""Messages forgotten in one transaction; others are written in between."""

OLD_MESSAGES = (
    "SELECT queue_id, created_at, tags, metadata FROM messages WHERE (created_at, queue_id) > (?, ?) "  # noqa: S608
    "AND created_at < ? AND NOT EXISTS (SELECT 1 FROM entries "
    f"WHERE entries.queue_id = messages.queue_id AND {UNFINISHED}) ORDER BY created_at, queue_id LIMIT {PURGE_BATCH}"
)
OLD_EVENTS = f"SELECT id, at, queue_id FROM events WHERE id > ? ORDER BY id LIMIT {5 * PURGE_BATCH}"  # noqa: S608

_DELETE_LABEL = "DELETE FROM labels WHERE name = ? AND value = ? AND queue_id = ?"
_DELETE_ORPHAN = "DELETE FROM events WHERE id = ? AND NOT EXISTS (SELECT 1 FROM messages WHERE queue_id = ?)"
DELETES = tuple(
    f"DELETE FROM {table} WHERE queue_id = ?"  # noqa: S608  names of the schema
    for table in ("events", "entries", "contents", "messages")
)
DELETES_BESIDE_EVENTS = DELETES[1:]
"""Where events are dropped by their time, whatever message they are of."""


def changeable(query: EntryQuery) -> EntryQuery | None:
    """Return the query for those of its entries that may be changed, None when it asks for others only."""
    states = tuple(state for state in _CHANGEABLE if not query.states or state in query.states)
    return replace(query, states=states) if states else None


def change(
    lanes: Lanes, keys: Sequence[EntryKey], query: EntryQuery, rule: Change
) -> Callable[[Connection], Sequence[tuple[Message, Entry]]]:
    """Apply the rule to the entries with these keys; return those it changed, as they are now.

    The keys were found before the transaction, for that may take long: what has moved since is left alone.
    """

    def operation(raw: Connection) -> Sequence[tuple[Message, Entry]]:
        changed: list[tuple[Message, Entry]] = []
        events: list[Event] = []
        for found in filter(None, (entry_at(raw, key) for key in keys)):
            message, entry = found
            if entry.state not in query.states or query.lane not in ("", entry.lane):
                continue
            answer = rule(message, entry)
            if answer is not None:
                changed.append((message, answer[0]))
                events.extend(answer[1])
        update(raw, lanes, [entry for _, entry in changed], events)
        return changed

    return operation


def purge_messages(
    before: float, after: tuple[float, str], deletes: Sequence[str] = DELETES
) -> Callable[[Connection], tuple[int, tuple[float, str]]]:
    """Forget a batch of finished messages created before that time, beginning `after` a time and queue id.

    Return how many went and where the next batch begins.
    """

    def operation(raw: Connection) -> tuple[int, tuple[float, str]]:
        rows = raw.execute(OLD_MESSAGES, (*after, before)).fetchall()
        for queue_id, _, tags, metadata in rows:
            labels = label_rows(queue_id, codec.decode_list(tags), codec.decode_strings(metadata))
            raw.executemany(_DELETE_LABEL, labels)
            for statement in deletes:
                raw.execute(statement, (queue_id,))
        return len(rows), (rows[-1][1], rows[-1][0]) if rows else after

    return operation


def purge_events(before: float, after: int) -> Callable[[Connection], int | None]:
    """Forget events of unknown messages from before that time, beginning after that event id.

    Return where the next batch begins, None when the events reach that time. Ids follow the order of recording.
    """

    def operation(raw: Connection) -> int | None:
        rows = raw.execute(OLD_EVENTS, (after,)).fetchall()
        old = [(event, queue_id) for event, at, queue_id in rows if at < before]
        raw.executemany(_DELETE_ORPHAN, old)
        return rows[-1][0] if rows and len(old) == len(rows) else None

    return operation

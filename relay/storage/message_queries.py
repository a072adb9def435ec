"""Queries of messages and entries: SQL and its values. For reading connections."""

from collections.abc import Callable, Sequence

from relay.mail.canonical_address import keys_of
from relay.mail.lane import SIMULATOR_PREFIX
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.queue.ports import Depth, EntryQuery
from relay.reports.ports import MessageQuery
from relay.storage.database import Connection
from relay.storage.integrity import (
    DAMAGES,
    Unreadable,
    intact_message,
    read_stored,
    readable_entry,
    readable_message,
)
from relay.storage.rows import (
    ENTRY_COLUMNS,
    MESSAGE_COLUMNS,
    MESSAGE_WIDTH,
    OPEN,
    Row,
    qualified,
    text,
)

_BEHIND_NAME = """substr(data, instr(data || '"category":"', '"category":"') + 12)"""

CATEGORY = f"""substr({_BEHIND_NAME}, 1, instr({_BEHIND_NAME} || '"', '"') - 1)"""
"""The category of a failure, as the index on it has it; "" without one. What is searched for is appended, so that no
length is negative: PostgreSQL refuses the row then."""

IS_LATE = """kind = 'bounced' AND data LIKE '%"late":true%'"""
"""Condition of the index on bounces after a delivery. Quotes inside of texts are escaped, so that none matches."""

_OPEN_STATES = frozenset({State.WAITING, State.HELD, State.ACTIVE})

ENTRIES_OF = f"SELECT {ENTRY_COLUMNS} FROM entries WHERE queue_id = ? ORDER BY number"  # noqa: S608  names only

DEPTH = f"SELECT lane, state, count(*) FROM entries INDEXED BY entries_open WHERE {OPEN} GROUP BY state, lane"  # noqa: S608

DEPTH_BY_TIME = (
    "SELECT lane, state, "  # noqa: S608
    "sum(CASE WHEN next_attempt_at <= ? THEN 1 ELSE 0 END), min(next_attempt_at), "
    "sum(CASE WHEN next_attempt_at <= ? THEN 0 ELSE 1 END), "
    "min(CASE WHEN next_attempt_at <= ? THEN NULL ELSE next_attempt_at END) "
    f"FROM entries INDEXED BY entries_open WHERE {OPEN} GROUP BY state, lane"
)
"""Groups by columns of the index alone: a group for what is due would have all open entries sorted."""

OLDEST = "SELECT lane, min(queue_id) FROM entries INDEXED BY entries_open WHERE state = 'waiting' GROUP BY lane"

DAMAGED = (
    "SELECT count(*) FROM entries WHERE state = 'held' "  # noqa: S608  names only
    f"AND reason IN ({', '.join('?' * len(DAMAGES))})"
)

_ENTRY_WITH_MESSAGE = f"{qualified(MESSAGE_COLUMNS, 'messages')}, {qualified(ENTRY_COLUMNS, 'entries')}"

_FOUND = (
    "JOIN entries ON entries.queue_id = found.queue_id AND entries.number = found.number "
    "JOIN messages ON messages.queue_id = found.queue_id"
)

ENTRY_AT = (
    f"SELECT {_ENTRY_WITH_MESSAGE} FROM entries JOIN messages ON messages.queue_id = entries.queue_id "  # noqa: S608
    "WHERE entries.queue_id = ? AND entries.number = ?"
)


def is_no_copy(table: str) -> str:
    """Return the condition that a row of `entries` or `events` is not about a copy (`bcc`).

    The first test skips messages without copies.
    """
    return (
        "(messages.policy NOT LIKE '%\"copies\":[%' OR NOT EXISTS (SELECT 1 FROM events AS made "  # noqa: S608
        f"WHERE made.queue_id = {table}.queue_id AND made.number = {table}.number AND made.kind = 'created' "
        "AND made.data LIKE '%\"copy\":true%'))"
    )


def _is_not_simulated(table: str) -> str:
    """Return the condition that a row of `entries` or `events` is not about a recipient of the simulator."""
    if table == "entries":
        return f"entries.lane NOT LIKE '{SIMULATOR_PREFIX}%'"
    return "events.data NOT LIKE '%\"simulated\":true%'"


EntryKey = tuple[str, int]
"""Queue id and number."""

Statement = tuple[str, list[object]]


class _Conditions:
    """Builds a WHERE clause."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: list[object] = []

    def add(self, part: str, *values: object) -> None:
        """Add a condition, joined by AND."""
        self.parts.append(part)
        self.values.extend(values)

    def add_sender(self, domain: str, identity: str) -> None:
        """Add the conditions on the sending domain and the identity that are not empty."""
        for column, value in (("domain", domain), ("identity", identity)):
            if value:
                keys = keys_of(value)
                self.add(equals(column, keys), *keys)

    def add_senders(self, column: str, senders: Sequence[str] | None) -> None:
        """Add the condition that a column has one of these senders; None adds none, and no sender matches nothing."""
        if senders is not None:
            keys = [key for one in senders for key in keys_of(one)]
            self.add(equals(column, keys) if keys else "FALSE", *keys)

    def __str__(self) -> str:
        return " AND ".join(self.parts) or "TRUE"


def equals(column: str, values: Sequence[object]) -> str:
    """Return the condition that a column has one of the values."""
    return f"{column} = ?" if len(values) == 1 else f"{column} IN ({', '.join('?' * len(values))})"


def message_conditions(query: MessageQuery) -> Statement:
    """Return the query's condition on `messages`, and its values."""
    where = _Conditions()
    if query.queue_id:
        where.add("messages.queue_id = ?", query.queue_id)
    if query.message_id:
        bare = query.message_id.strip().removeprefix("<").removesuffix(">")
        where.add("message_id IN (?, ?)", text(bare), text(f"<{bare}>"))
    if query.recipient:
        keys = keys_of(query.recipient)
        found = f"SELECT queue_id FROM entries WHERE {equals('recipient_key', keys)}"  # noqa: S608  names only
        where.add(f"messages.queue_id IN ({found})", *keys)

    for name, value in [*(("", tag) for tag in query.tags), *query.metadata.items()]:
        found = "SELECT queue_id FROM labels WHERE name = ? AND value = ?"
        where.add(f"messages.queue_id IN ({found})", text(name), text(value))

    if query.since:
        where.add("messages.created_at >= ?", query.since)
    if query.until is not None:
        where.add("messages.created_at < ?", query.until)

    where.add_sender(query.domain, query.identity)
    where.add_senders("domain", query.domains)
    where.add_senders("identity", query.identities)
    if query.campaign is not None:
        where.add("campaign != ''" if query.campaign else "campaign = ''")
    if query.campaign_name:
        where.add("campaign = ?", text(query.campaign_name))
    if query.before is not None:
        where.add("(messages.created_at, messages.queue_id) < (?, ?)", *query.before)
    if query.users_only:
        where.add("messages.origin = ''")
    if not query.simulated:
        where.add("messages.policy NOT LIKE '%\"sandbox\":true%'")

    return str(where), where.values


def recipients_conditions(query: MessageQuery, table: str) -> Statement:
    """Return the query's condition on `messages` joined with `entries` or `events`, and its values.

    All figures of a report use this relation.
    """
    where, values = message_conditions(query)
    if query.users_only:
        where = f"{where} AND {is_no_copy(table)}"
    if not query.simulated:
        where = f"{where} AND {_is_not_simulated(table)}"
    return where, values


def messages_statement(query: MessageQuery) -> Statement:
    """Return the statement for the messages of a query, newest first."""
    where, values = message_conditions(query)
    sql = f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE {where} ORDER BY created_at DESC, queue_id DESC LIMIT ?"  # noqa: S608
    return sql, [*values, query.limit]


def keys_statement(query: EntryQuery) -> Statement:
    """Return the statement for the entry keys of a query, by queue id and number.

    Only keys, so that the index on open entries alone suffices for a lane with a million entries.
    """
    where = _Conditions()
    tables = "entries"
    if query.domain or query.identity or query.domains:
        tables = "entries JOIN messages ON messages.queue_id = entries.queue_id"

    if query.queue_id:
        where.add("entries.queue_id = ?", query.queue_id)
    if query.recipient:
        keys = keys_of(query.recipient)
        where.add(equals("recipient_key", keys), *keys)

    if query.states:
        if _OPEN_STATES.issuperset(query.states):
            where.add(OPEN)
        where.add(f"state IN ({', '.join('?' * len(query.states))})", *(state.value for state in query.states))
    if query.lane:
        where.add("lane = ?", query.lane)
    if query.released_after:
        where.add("release_at > ?", query.released_after)

    where.add_sender(query.domain, query.identity)
    if query.domains:
        where.add(equals("domain", query.domains), *query.domains)

    if query.after[0]:
        where.add("(entries.queue_id, number) > (?, ?)", *query.after)
    sql = f"SELECT entries.queue_id, number FROM {tables} WHERE {where} ORDER BY entries.queue_id, number LIMIT ?"  # noqa: S608
    return sql, [*where.values, query.limit]


def find(query: EntryQuery) -> Callable[[Connection], list[EntryKey]]:
    """Return the keys of the entries that match."""
    return lambda raw: raw.execute(*keys_statement(query)).fetchall()


_STATE = "SELECT state FROM entries WHERE queue_id = ? AND number = ?"


def states(keys: Sequence[EntryKey]) -> Callable[[Connection], dict[EntryKey, State]]:
    """Return the states of the entries with these keys, without those that were purged."""

    def operation(raw: Connection) -> dict[EntryKey, State]:
        found = ((key, raw.execute(_STATE, key).fetchone()) for key in keys)
        return {key: State(row[0]) for key, row in found if row is not None}

    return operation


def entries(query: EntryQuery) -> Callable[[Connection], list[tuple[Message, Entry]]]:
    """Return the entries that match with their messages, by queue id and number."""
    sql, values = keys_statement(query)
    statement = f"SELECT {_ENTRY_WITH_MESSAGE} FROM ({sql}) AS found {_FOUND} ORDER BY entries.queue_id, entries.number"  # noqa: S608
    return lambda raw: [_entry_with_message(row) for row in raw.execute(statement, values)]


def entry_at(raw: Connection, key: EntryKey) -> tuple[Message, Entry] | None:
    """Return the entry with that key and its message, None when it was purged."""
    row = raw.execute(ENTRY_AT, key).fetchone()
    return None if row is None else _entry_with_message(row)


def _entry_with_message(row: Row) -> tuple[Message, Entry]:
    return readable_message(row)[0], readable_entry(row[MESSAGE_WIDTH:])[0]


def depth(raw: Connection) -> dict[tuple[str, State], int]:
    """Return the number of open entries by lane and state, from the index on open entries alone."""
    return {(lane, State(state)): count for lane, state, count in raw.execute(DEPTH)}


def depth_by_time(now: float) -> Callable[[Connection], list[Depth]]:
    """Return the open entries by lane, state and whether they are due, from the index alone."""
    return lambda raw: [
        Depth(lane, State(state), due, count, first_at)
        for lane, state, *counted in raw.execute(DEPTH_BY_TIME, (now, now, now))
        for due, count, first_at in ((True, *counted[:2]), (False, *counted[2:]))
        if count
    ]


def oldest(raw: Connection) -> dict[str, str]:
    """Return the smallest queue id of the waiting entries by lane, from the index on open entries alone."""
    return dict(raw.execute(OLDEST))


def damaged(raw: Connection) -> int:
    """Return the number of entries that are held because of damage."""
    count: int = raw.execute(DAMAGED, DAMAGES).fetchone()[0]
    return count


def content(queue_id: str, unreadable: Unreadable) -> Callable[[Connection], bytes | None]:
    """Return the content of a message, None when it is not stored or damaged."""

    def operation(raw: Connection) -> bytes | None:
        _, found, damage = intact_message(queue_id, read_stored(raw, queue_id, unreadable))
        return found if isinstance(found, bytes) and not damage else None

    return operation

"""Conversion between rows and values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from relay.events.event import Event, Kind
from relay.limits.priority import Priority
from relay.mail.canonical_address import canonical
from relay.mail.transaction import Notify
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.storage.json_columns import (
    decode_list,
    decode_object,
    decode_reply,
    decode_strings,
    encode_list,
    encode_object,
    encode_reply,
    join_policy,
    split_policy,
)

Row = Sequence[Any]

MESSAGE_COLUMNS = (
    "queue_id, created_at, reverse_path, domain, identity, policy, added_fields, smtputf8, ret, envid, size, "
    "message_id, header_from, subject, credential, client, campaign, tags, metadata, origin"
)

ENTRY_COLUMNS = (
    "queue_id, number, recipient, lane, created_at, expires_at, next_attempt_at, release_at, state, attempts, "
    "notify, orcpt, last_reply, last_remote, reason, uncertain, delay_notified, principal, priority"
)

EVENT_COLUMNS = "kind, at, queue_id, number, address, data"

CLAIM_COLUMNS = f"{ENTRY_COLUMNS}, recipient_key"
"""Columns of an entry to be sent. The search key shows whether the recipient is still what was accepted."""

MESSAGE_WIDTH, ENTRY_WIDTH = MESSAGE_COLUMNS.count(",") + 1, ENTRY_COLUMNS.count(",") + 1


def qualified(columns: str, table: str) -> str:
    """Prefix the columns with the name of their table."""
    return ", ".join(f"{table}.{column}" for column in columns.split(", "))


def insertion(table: str, columns: str) -> str:
    """Return the statement that inserts one row."""
    places = ", ".join("?" * (columns.count(",") + 1))
    return f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608  names of this module, values bound


INSERT_MESSAGE = insertion("messages", MESSAGE_COLUMNS)

INSERT_CONTENT = insertion("contents", "queue_id, content, digest")

INSERT_ENTRY = insertion("entries", CLAIM_COLUMNS)

INSERT_LEASED = insertion("entries", f"{CLAIM_COLUMNS}, lease")
"""Inserts an active entry."""

INSERT_EVENT = insertion("events", EVENT_COLUMNS)

AT_ONCE = 100
"""Events of one statement: each statement waits once for the network or the interpreter's lock."""

INSERT_LABEL = "INSERT INTO labels (name, value, queue_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


def text(value: str) -> str:
    """Make a text storable: NUL and lone surrogates (from header bytes) become "?"."""
    unicode = value if value.isascii() else value.encode("utf-8", "replace").decode()
    return unicode.replace("\0", "?") if "\0" in unicode else unicode


def message_row(message: Message) -> Row:
    """Return the row of a message, in the order of MESSAGE_COLUMNS."""
    policy, added_fields = split_policy(message.policy)
    return (
        message.queue_id,
        message.created_at,
        message.reverse_path,
        message.policy.domain,
        message.policy.identity,
        policy,
        added_fields,
        message.smtputf8,
        message.ret,
        message.envid,
        message.size,
        text(message.message_id),
        text(message.header_from),
        text(message.subject),
        message.credential,
        message.client,
        text(message.campaign),
        encode_list(message.tags),
        encode_object(message.metadata),
        message.origin,
    )


def message_of(row: Row) -> Message:
    """Return the message of a row that begins with MESSAGE_COLUMNS."""
    return Message(
        queue_id=row[0],
        created_at=row[1],
        reverse_path=row[2],
        policy=join_policy(row[5], row[6]),
        smtputf8=bool(row[7]),
        ret=row[8],
        envid=row[9],
        size=row[10],
        message_id=row[11],
        header_from=row[12],
        subject=row[13],
        credential=row[14],
        client=row[15],
        campaign=row[16],
        tags=decode_list(row[17]),
        metadata=decode_strings(row[18]),
        origin=row[19],
    )


def label_rows(queue_id: str, tags: Iterable[str], metadata: Mapping[str, str]) -> Iterator[Row]:
    """Yield the rows for searches of a message: its tags, with the name "", and its metadata."""
    for tag in tags:
        yield ("", text(tag), queue_id)
    for name, value in metadata.items():
        yield (text(name), text(value), queue_id)


def entry_row(entry: Entry) -> Row:
    """Return the row of a new entry, in the order of CLAIM_COLUMNS."""
    return (
        entry.queue_id,
        entry.number,
        entry.recipient,
        entry.lane,
        entry.created_at,
        entry.expires_at,
        entry.next_attempt_at,
        entry.release_at,
        entry.state.value,
        entry.attempts,
        " ".join(entry.notify),
        entry.orcpt,
        encode_reply(entry.last_reply),
        text(entry.last_remote),
        text(entry.reason),
        entry.uncertain,
        entry.delay_notified,
        text(entry.principal),
        int(entry.priority),
        canonical(entry.recipient),
    )


OPEN = "(state = 'waiting' OR state = 'held' OR state = 'active')"
"""The condition of the index on open entries, which queries must repeat. For IN with three values SQLite makes a table.

`state = 'waiting'` implies it, for the planners of both databases.
"""

UNFINISHED = "state != 'delivered' AND state != 'bounced' AND state != 'dropped'"
"""For entries found by their message: written so, no planner uses the index on open entries."""

UPDATED_COLUMNS = (
    "lane, expires_at, next_attempt_at, release_at, state, attempts, last_reply, last_remote, reason, uncertain, "
    "delay_notified"
)

UPDATE_ENTRY = (
    f"UPDATE entries SET {UPDATED_COLUMNS.replace(',', ' = ?,')} = ?, lease = '' "  # noqa: S608  names only
    f"WHERE queue_id = ? AND number = ? AND {UNFINISHED}"
)


def entry_update(entry: Entry) -> Row:
    """Return the parameters of UPDATE_ENTRY: the changeable columns of an entry, and its key."""
    return (
        entry.lane,
        entry.expires_at,
        entry.next_attempt_at,
        entry.release_at,
        entry.state.value,
        entry.attempts,
        encode_reply(entry.last_reply),
        text(entry.last_remote),
        text(entry.reason),
        entry.uncertain,
        entry.delay_notified,
        entry.queue_id,
        entry.number,
    )


def entry_of(row: Row, state: State | None = None) -> Entry:
    """Return the entry of a row that begins with ENTRY_COLUMNS, with the row's state unless one is given."""
    return Entry(
        queue_id=row[0],
        number=row[1],
        recipient=row[2],
        lane=row[3],
        created_at=row[4],
        expires_at=row[5],
        next_attempt_at=row[6],
        release_at=row[7],
        state=state or State(row[8]),
        attempts=row[9],
        notify=cast("tuple[Notify, ...]", tuple(row[10].split())),
        orcpt=row[11],
        last_reply=decode_reply(row[12]),
        last_remote=row[13],
        reason=row[14],
        uncertain=bool(row[15]),
        delay_notified=bool(row[16]),
        principal=row[17],
        priority=Priority.of(row[18]),
    )


def event_rows(events: Iterable[Event]) -> list[Row]:
    """Return the rows of events, in the order of EVENT_COLUMNS."""
    return [
        (
            str(event.kind),
            event.at,
            event.queue_id,
            event.number,
            text(event.address),
            encode_object(event.data),
        )
        for event in events
    ]


def event_of(row: Row) -> Event:
    """Return the event of a row that begins with EVENT_COLUMNS."""
    return Event(Kind(row[0]), row[1], row[2], row[3], row[4], decode_object(row[5]))

"""Reads what was stored as it was accepted: contents with their digest, and rows that may be damaged.

A content has a digest of everything that decides what is sent: content, reverse-path, policy, added fields, ENVID.
It is made when the message is stored and compared whenever the content is read. A difference, a missing content or an
unreadable row concerns its own message. The entries are handed out with the damage, and held by the queue.
"""

import hashlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from relay.content_file import UnreadContent
from relay.events.event import Event
from relay.mail.canonical_address import keys_of
from relay.mail.transaction import MAX_RECIPIENTS
from relay.queue.entry import Entry, LaneFlow, State
from relay.queue.message import ClaimedBatch, Message
from relay.storage.content_pieces import with_unread
from relay.storage.database import Connection
from relay.storage.errors import primary_code
from relay.storage.rows import (
    ENTRY_COLUMNS,
    ENTRY_WIDTH,
    MESSAGE_COLUMNS,
    MESSAGE_WIDTH,
    Row,
    entry_of,
    event_of,
    message_of,
    qualified,
)

T = TypeVar("T")

CHANGED = "the stored message is not what was accepted"

MISSING = "the stored content is missing"

UNREADABLE = "the stored content cannot be read"

UNREADABLE_MESSAGE = "the stored message cannot be read"

UNREADABLE_ENTRY = "the stored entry cannot be read"

CHANGED_RECIPIENT = "the stored recipient is not the one that was accepted"

DAMAGES = (CHANGED, MISSING, UNREADABLE, UNREADABLE_MESSAGE, UNREADABLE_ENTRY, CHANGED_RECIPIENT)
"""Reasons of entries that are held because of damage."""

STORED = f"{qualified(MESSAGE_COLUMNS, 'messages')}, CASE WHEN {{condition}} THEN content END, digest"
"""Columns of a message with its content, if a condition holds. The digest is missing only with the content."""

CONTENT = (
    f"SELECT {STORED.format(condition='size <= ?')} FROM messages "  # noqa: S608  names of the schema
    "LEFT JOIN contents ON contents.queue_id = messages.queue_id WHERE messages.queue_id = ?"
)

ANY_SIZE = 1 << 62
"""Octets: for contents that are read whatever their size."""

_WITHOUT_CONTENT = f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE queue_id = ?"  # noqa: S608  names only

_UNCHANGED = tuple(
    MESSAGE_COLUMNS.split(", ").index(column) for column in ("queue_id", "reverse_path", "envid", "policy")
)

_LEFT_OUT = object()
"""Stands for a content that SQLite could not read."""

_ADDED_FIELDS = MESSAGE_COLUMNS.split(", ").index("added_fields")

_PRINCIPAL = ENTRY_COLUMNS.split(", ").index("principal")

_FAULTS = (ValueError, TypeError, LookupError, AttributeError)
"""Exceptions that a damaged row raises in its conversion."""


def _types(columns: str, numbers: str, others: Mapping[str, object]) -> tuple[Any, ...]:
    """Return the type of each column: numbers, texts, or those of `others`."""
    return tuple(
        (int, float) if column in numbers.split() else others.get(column, str) for column in columns.split(", ")
    )


_MESSAGE_TYPES = _types(MESSAGE_COLUMNS, "created_at size smtputf8", {"added_fields": bytes})

_ENTRY_TYPES = _types(
    ENTRY_COLUMNS,
    "number created_at expires_at next_attempt_at release_at attempts uncertain delay_notified priority",
    {"last_reply": (str, type(None))},
)


def _typed(row: Row, types: tuple[Any, ...]) -> Row:
    """Return the row. Raises TypeError for a value of another type: SQLite enforces no types."""
    if not all(map(isinstance, row, types)):
        other = next(value for value, kind in zip(row, types, strict=False) if not isinstance(value, kind))
        raise TypeError(f"a value of type {type(other).__name__}")
    return row


def digest(row: Row, content: bytes) -> bytes:
    """Return the SHA-256 of a message row and its content. Current CPUs have instructions for it."""
    made = digest_of_row(row)
    made.update(content)
    return made.digest()


def digest_of_row(row: Row) -> "hashlib._Hash":
    """Return the SHA-256 of a message row, to be updated with its content."""
    parts = [str(row[index]).encode("utf-8", "surrogatepass") for index in _UNCHANGED]
    parts.append(bytes(row[_ADDED_FIELDS]))
    head = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hashlib.sha256(head)


def content_row(row: Row, content: bytes) -> Row:
    """Return the row of a content, by the row of its message."""
    return row[0], content, digest(row, content)


class UnreadableError(Exception):
    """SQLite cannot read a row, and refuses to write in this transaction. The next one leaves the row out."""


class Unreadable:
    """What SQLite could not read: contents by queue id, and whole messages."""

    def __init__(self) -> None:
        self.contents: set[str] = set()
        self.messages: set[str] = set()

    def add(self, queue_id: str) -> None:
        """Add the content of a message; the second time the message itself."""
        (self.messages if queue_id in self.contents else self.contents).add(queue_id)


def read_stored(raw: Connection, queue_id: str, unreadable: Unreadable, most: int = ANY_SIZE) -> Row | None:
    """Return a row of STORED, None if there is no such message.

    It has no content where that is unreadable, and `UnreadContent` where that has more than `most` octets.

    Raises UnreadableError when a further row turns out to be: the caller repeats the transaction.
    """
    if queue_id in unreadable.messages:
        return None
    try:
        if queue_id not in unreadable.contents:
            row: Row | None = raw.execute(CONTENT, (most, queue_id)).fetchone()
            return row and with_unread(raw, row)
        found = raw.execute(_WITHOUT_CONTENT, (queue_id,)).fetchone()
    except sqlite3.DatabaseError as error:
        if primary_code(error) != sqlite3.SQLITE_CORRUPT:
            raise
        unreadable.add(queue_id)
        raise UnreadableError(f"{queue_id}: {error}") from error
    return None if found is None else (*found, _LEFT_OUT, b"")


async def leaving_out(transaction: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a transaction, repeated for each row that it could not read."""
    while True:
        try:
            return await transaction()
        except UnreadableError:
            continue


Stored = tuple[Message, bytes | UnreadContent, str]
"""A message, its content, and the damage, "" for none. With a damage the content is empty."""


def intact_message(queue_id: str, row: Row | None) -> Stored:
    """Return what a row of STORED says. A content that was left in the store is in the row as `UnreadContent`.

    Contents from before there were digests have an empty one, and are not compared.
    """
    if row is None:
        return Message(queue_id, 0.0, ""), b"", UNREADABLE_MESSAGE
    content, stored = row[MESSAGE_WIDTH], row[MESSAGE_WIDTH + 1]
    message, damage = readable_message(row)
    if damage:
        return message, b"", damage
    if isinstance(content, UnreadContent):
        return message, content, ""
    if content is None or content is _LEFT_OUT:
        return message, b"", MISSING if content is None else UNREADABLE
    if not isinstance(content, bytes) or (stored and digest(row, content) != stored):
        return message, b"", CHANGED
    return message, content, ""


def readable_message(row: Row) -> tuple[Message, str]:
    """Return the message of a row and its damage; only the queue id of an unreadable row is known."""
    try:
        return message_of(_typed(row, _MESSAGE_TYPES)), ""
    except _FAULTS:
        return Message(str(row[0]), 0.0, "", subject=f"({UNREADABLE_MESSAGE})"), UNREADABLE_MESSAGE


def readable_entry(row: Row, state: State | None = None) -> tuple[Entry, str]:
    """Return the entry of a row and its damage; an unreadable one keeps its key, recipient and lane."""
    try:
        return entry_of(_typed(row, _ENTRY_TYPES), state), ""
    except _FAULTS:
        queue_id, number, recipient, lane = row[:4]
        key = str(queue_id), int(number), str(recipient), str(lane)
        flow = LaneFlow(key[3], str(row[_PRINCIPAL]), row[_PRINCIPAL + 1]).flow
        entry = Entry(*key, 0.0, 0.0, 0.0, state=state or State.HELD, reason=UNREADABLE_ENTRY, **flow._asdict())
        return entry, UNREADABLE_ENTRY


def readable_events(rows: Iterable[Row]) -> Iterator[Event]:
    """Yield the events of these rows, without unreadable ones."""
    for row in rows:
        try:
            event = event_of(row)
        except _FAULTS:
            continue
        yield event


def batches(stored: Stored, rows: Sequence[Row]) -> Iterator[ClaimedBatch]:
    """Yield the entries of one message and lane: whole transactions, and each damaged entry by itself.

    The rows begin with CLAIM_COLUMNS.
    """
    message, content, damage = stored
    entries: list[Entry] = []
    for row in rows:
        entry, fault = readable_entry(row, State.ACTIVE)
        if not fault and row[ENTRY_WIDTH] not in keys_of(entry.recipient):
            fault = CHANGED_RECIPIENT
        if fault:
            yield ClaimedBatch(message, b"", (entry,), fault)
        else:
            entries.append(entry)
    for start in range(0, len(entries), MAX_RECIPIENTS):
        yield ClaimedBatch(message, content, tuple(entries[start : start + MAX_RECIPIENTS]), damage)

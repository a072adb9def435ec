"""The feed: all stored events, in an order in which a reader with a cursor misses none."""

from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, Protocol

from relay.events.event import Event
from relay.queue.message import Message

_ID_OCTETS = 16
"""Octets of the hash in an event id."""


class Position(NamedTuple):
    """A place in the feed. All events at it and before it are read.

    PostgreSQL numbers rows before it commits them. Therefore the transaction comes first, and a transaction is read
    after it and all older ones have ended. SQLite numbers rows in the order of commits: its transaction is 0.
    """

    transaction: int = 0
    row: int = 0

    def __str__(self) -> str:
        return f"{self.transaction}-{self.row}"


class PositionError(ValueError):
    """The text is no position, or a position of another database."""


def parse_position(text: str) -> Position:
    """Return the position of a text such as "0-4711". Raises PositionError."""
    transaction, dash, row = text.partition("-")
    if not dash or not all(one.isascii() and one.isdigit() and len(one) < 20 for one in (transaction, row)):
        raise PositionError(f"{text[:50]!r} is not a position of the feed, such as 0-4711")
    return Position(int(transaction), int(row))


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its position and its message; None if the message is purged."""

    position: Position
    event: Event
    message: Message | None


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Events in order. `end` is the position of the last one read, also if it was unreadable and left out."""

    events: tuple[StoredEvent, ...]
    end: Position
    is_full: bool
    """Whether there may be more events already."""


class EventFeed(Protocol):
    """Reads the stored events. All methods raise StoreError."""

    async def read(self, after: Position, limit: int) -> FeedPage:
        """Return the events after a position. Raises PositionError for one that this database never gave."""

    async def read_back(self, last: Position, limit: int) -> FeedPage:
        """Return the events at a position and before it, the newest first. `end` is that of the oldest one read."""

    async def end(self) -> Position:
        """Return the position after all events that are stored now."""

    async def since(self, at: float) -> Position:
        """Return a position before all events from that Unix time on. Earlier ones may follow it too."""

    async def behind(self, after: Position, most: int) -> int:
        """Return the number of events after a position, at most `most`."""

    async def at(self, positions: Sequence[Position]) -> Sequence[StoredEvent]:
        """Return the events at these positions; purged ones are left out."""

    async def of_message(self, queue_id: str) -> Sequence[StoredEvent]:
        """Return the events of a message, in order."""


def event_id(event: Event) -> str:
    """Return the id of an event: the same on every node, after a restart, and in every repetition."""
    own = str(event.data.get("id", ""))
    parts = (event.queue_id, str(event.number), event.kind.value, f"{event.at:.6f}", own)
    made = blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=_ID_OCTETS).digest()
    return f"evt_{b32encode(made).decode('ascii').rstrip('=').lower()}"

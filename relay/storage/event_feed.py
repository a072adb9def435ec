"""The events in the order of the feed: SQL of both databases, and its values."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from relay.storage.database import Connection, Database
from relay.storage.integrity import readable_events, readable_message
from relay.storage.rows import EVENT_COLUMNS, MESSAGE_COLUMNS, Row, qualified
from relay.webhooks.feed import FeedPage, Position, PositionError, StoredEvent

_EVENT, _MESSAGE = qualified(EVENT_COLUMNS, "events"), qualified(MESSAGE_COLUMNS, "messages")

_JOINED = "FROM events LEFT JOIN messages ON messages.queue_id = events.queue_id"

_EVENT_END = 2 + EVENT_COLUMNS.count(",") + 1

SLACK = 3600.0
"""Seconds by which an event may be stored later than one with a later time: those of readers wait in a spool."""


@dataclass(frozen=True, slots=True)
class FeedSql:
    """What differs between the databases. Parameters are ?1 the transaction and ?2 the row of a position."""

    place: str
    """Columns of the position of an event."""
    after: str
    """Condition: the event is after the position, and no event before it can appear any more."""
    until: str
    """Condition: the event is at the position or before it, and no event before it can appear any more."""
    order: str
    back: str
    """The order from the newest on."""
    same: str
    """Condition: the event is at the position."""
    end: str
    """Statement that returns the last position."""
    since: Callable[[Connection, float], Position]

    @property
    def page(self) -> str:
        """The statement of a page; ?3 is its size."""
        return f"SELECT {self.place}, {_EVENT}, {_MESSAGE} {_JOINED} WHERE {self.after} ORDER BY {self.order} LIMIT ?3"

    @property
    def page_back(self) -> str:
        """The statement of a page from the newest on; ?3 is its size."""
        return f"SELECT {self.place}, {_EVENT}, {_MESSAGE} {_JOINED} WHERE {self.until} ORDER BY {self.back} LIMIT ?3"

    @property
    def one(self) -> str:
        """The statement of the event at a position."""
        return f"SELECT {self.place}, {_EVENT}, {_MESSAGE} {_JOINED} WHERE {self.same}"

    @property
    def of_message(self) -> str:
        """The statement of the events of a message."""
        where = f"WHERE events.queue_id = ? ORDER BY {self.order}"
        return f"SELECT {self.place}, {_EVENT}, {_MESSAGE} {_JOINED} {where}"

    @property
    def behind(self) -> str:
        """The statement that counts the events after a position, at most ?3."""
        return f"SELECT count(*) FROM (SELECT 1 FROM events WHERE {self.after} LIMIT ?3) AS ahead"  # noqa: S608


class EventFeedTable:
    """Implements EventFeed."""

    def __init__(self, database: Database, sql: FeedSql) -> None:
        self._database = database
        self._sql = sql

    async def read(self, after: Position, limit: int) -> FeedPage:
        """Return the events after a position. Raises PositionError for one that this database never gave."""

        def operation(raw: Connection) -> FeedPage:
            rows = raw.execute(self._sql.page, (*after, limit)).fetchall()
            if not rows and (end := _position(raw.execute(self._sql.end).fetchone())) < after:
                raise PositionError(f"{after} is beyond {end}, the end of the feed: it is of another database")
            end = _position(rows[-1]) if rows else after
            return FeedPage(tuple(_stored(rows)), end, len(rows) == limit)

        return await self._database.read(operation)

    async def read_back(self, last: Position, limit: int) -> FeedPage:
        """Return the events at a position and before it, the newest first."""

        def operation(raw: Connection) -> FeedPage:
            rows = raw.execute(self._sql.page_back, (*last, limit)).fetchall()
            return FeedPage(tuple(_stored(rows)), _position(rows[-1]) if rows else last, len(rows) == limit)

        return await self._database.read(operation)

    async def end(self) -> Position:
        """Return the position after all events that are stored now."""
        return await self._database.read(lambda raw: _position(raw.execute(self._sql.end).fetchone()))

    async def since(self, at: float) -> Position:
        """Return a position before all events from that Unix time on. Earlier ones may follow it too."""
        return await self._database.read(lambda raw: self._sql.since(raw, at - SLACK))

    async def behind(self, after: Position, most: int) -> int:
        """Return the number of events after a position, at most `most`."""
        found = await self._database.read(lambda raw: raw.execute(self._sql.behind, (*after, most)).fetchone()[0])
        return int(found)

    async def at(self, positions: Sequence[Position]) -> Sequence[StoredEvent]:
        """Return the events at these positions; purged ones are left out."""

        def operation(raw: Connection) -> list[StoredEvent]:
            rows = [row for one in positions for row in raw.execute(self._sql.one, tuple(one)).fetchall()]
            return list(_stored(rows))

        return await self._database.read(operation)

    async def of_message(self, queue_id: str) -> Sequence[StoredEvent]:
        """Return the events of a message, in order."""

        def operation(raw: Connection) -> list[StoredEvent]:
            return list(_stored(raw.execute(self._sql.of_message, (queue_id,)).fetchall()))

        return await self._database.read(operation)


def _position(row: Row) -> Position:
    return Position(int(row[0]), int(row[1]))


def _stored(rows: Iterable[Row]) -> Iterable[StoredEvent]:
    """Yield the events of these rows, without unreadable ones."""
    for row in rows:
        about = row[_EVENT_END:]
        message = None if about[0] is None else readable_message(about)[0]
        for event in readable_events([row[2:_EVENT_END]]):
            yield StoredEvent(_position(row), event, message)

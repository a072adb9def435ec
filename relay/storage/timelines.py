"""Queries of messages with their timelines: bounded stories, and events page by page."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from relay.events.event import Event
from relay.queue.entry import Entry
from relay.reports.ports import EventPage, EventPlace, MessageQuery, Story
from relay.storage.database import Connection
from relay.storage.integrity import readable_entry, readable_events, readable_message
from relay.storage.message_queries import ENTRIES_OF, messages_statement
from relay.storage.rows import ENTRY_COLUMNS, EVENT_COLUMNS, MESSAGE_COLUMNS

SHOWN = 20
"""Events of a recipient and kind that a story has: so many of the first, and so many of the last."""

_RANKS = ", ".join(
    f"row_number() OVER (PARTITION BY number, kind ORDER BY at {order}, id {order}) AS {name}"
    for name, order in (("from_first", "ASC"), ("from_last", "DESC"))
)

EVENTS_OF = (
    f"SELECT {EVENT_COLUMNS} FROM (SELECT {EVENT_COLUMNS}, id, {_RANKS} FROM events WHERE queue_id = ?) AS ranked "  # noqa: S608
    f"WHERE from_first <= {SHOWN} OR from_last <= {SHOWN} ORDER BY at, id"
)

EVENT_PAGE = f"SELECT {EVENT_COLUMNS}, id FROM events WHERE queue_id = ? AND (at, id) > (?, ?) ORDER BY at, id LIMIT ?"  # noqa: S608

_AT, _ID = EVENT_COLUMNS.split(", ").index("at"), EVENT_COLUMNS.count(",") + 1

AT_ONCE = 50
"""Messages of one statement for lists."""

MAX_READERS = 2000
"""Opens and clicks that are read for a part of a list, at most: one message may have any number."""

_PLACES = ", ".join("?" * AT_ONCE)

MESSAGES = f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE queue_id IN ({_PLACES})"  # noqa: S608  names only

ENTRIES = f"SELECT {ENTRY_COLUMNS} FROM entries WHERE queue_id IN ({_PLACES}) ORDER BY queue_id, number"  # noqa: S608

FAILURES = (
    f"SELECT {EVENT_COLUMNS} FROM events WHERE queue_id IN ({_PLACES}) "  # noqa: S608  names only
    "AND kind IN ('bounced', 'deferred', 'dropped') ORDER BY at, id"
)

READERS = (
    f"SELECT {EVENT_COLUMNS} FROM events WHERE queue_id IN ({_PLACES}) "  # noqa: S608  names only
    f"AND kind IN ('open', 'click') LIMIT {MAX_READERS}"
)

_BEFORE_ALL: EventPlace = (-1.0, -1)


def stories(query: MessageQuery) -> Callable[[Connection], Sequence[Story]]:
    """Return the stories of the messages that match."""

    def operation(raw: Connection) -> Sequence[Story]:
        messages = [readable_message(row)[0] for row in raw.execute(*messages_statement(query)).fetchall()]
        return [Story(message, *_history(raw, message.queue_id)) for message in messages]

    return operation


def listed_stories(raw: Connection, ids: Sequence[str]) -> list[Story]:
    """Return the stories of the messages with these ids, in their order, with failures and readers as only events."""
    found: dict[str, Story] = {}
    for start in range(0, len(ids), AT_ONCE):
        some = list(ids[start : start + AT_ONCE])
        places = some + some[:1] * (AT_ONCE - len(some))
        entries, events = defaultdict[str, list[Entry]](list), defaultdict[str, list[Event]](list)
        for row in raw.execute(ENTRIES, places):
            entries[row[0]].append(readable_entry(row)[0])
        for event in readable_events(row for sql in (FAILURES, READERS) for row in raw.execute(sql, places)):
            events[event.queue_id].append(event)
        for row in raw.execute(MESSAGES, places):
            found[row[0]] = Story(readable_message(row)[0], tuple(entries[row[0]]), tuple(events[row[0]]))
    return [found[one] for one in ids if one in found]


def _history(raw: Connection, queue_id: str) -> tuple[tuple[Entry, ...], tuple[Event, ...]]:
    entries = tuple(readable_entry(row)[0] for row in raw.execute(ENTRIES_OF, (queue_id,)))
    events = tuple(readable_events(raw.execute(EVENTS_OF, (queue_id,))))
    return entries, events


def story_page(
    queue_id: str, after: EventPlace | None, limit: int
) -> Callable[[Connection], tuple[Story, EventPage] | None]:
    """Return the story of a message with the next of its events, in order of their time.

    Both are of one snapshot: no event is newer than the states of the recipients.
    """

    def operation(raw: Connection) -> tuple[Story, EventPage] | None:
        found = stories(MessageQuery(queue_id=queue_id))(raw)
        return (found[0], _event_page(raw, queue_id, after, limit)) if found else None

    return operation


def _event_page(raw: Connection, queue_id: str, after: EventPlace | None, limit: int) -> EventPage:
    rows = raw.execute(EVENT_PAGE, (queue_id, *(after or _BEFORE_ALL), limit + 1)).fetchall()
    shown = rows[:limit]
    following = (shown[-1][_AT], shown[-1][_ID]) if len(rows) > limit else None
    return EventPage(tuple(readable_events(shown)), following)

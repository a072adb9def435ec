"""Events outside delivery attempts, and returned mail: SQL and its values."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter

from relay.events.event import Event
from relay.queue.message import ReturnedMail
from relay.storage import suppressions
from relay.storage.bulk_insert import batched, insertion_of
from relay.storage.database import Connection
from relay.storage.due_lanes import DueLanes
from relay.storage.event_recipients import with_recipients
from relay.storage.json_columns import decode_object, encode_object
from relay.storage.operations import ROW_COST, StoreDatabase
from relay.storage.queue_writes import insert
from relay.storage.rows import AT_ONCE, INSERT_EVENT, event_rows
from relay.storage.suppressions import SuppressionTable
from relay.storage.unsubscribes import UnsubscribeTable

SAME_KIND = "SELECT data FROM events WHERE queue_id = ? AND number = ? AND kind = ?"

_CLASSIFICATION = frozenset({"category", "rule", "guidance", "phase", "unproven"})
"""Fields of a returned mail's event that depend on the rules of classification and proof alone."""


class EventTable:
    """Implements EventStore and ReturnedMailStore."""

    def __init__(
        self,
        database: StoreDatabase,
        lanes: DueLanes,
        suppressions: SuppressionTable,
        unsubscribes: UnsubscribeTable,
    ) -> None:
        self._database = database
        self._lanes = lanes
        self._suppressions = suppressions
        self._unsubscribes = unsubscribes

    async def record(self, events: Sequence[Event], *, again: bool = False) -> Sequence[Event]:
        """Make the events durable and return them with the addresses of their recipients filled in.

        `again` leaves out events that are stored already.
        """
        operation = record_new if again else record
        return await self._database.write(operation(events, self._unsubscribes), ROW_COST * len(events))

    async def record_returned(self, returned: Sequence[ReturnedMail]) -> Sequence[Event]:
        """Store new returned mail in one transaction; return its events. Known returned mail is skipped."""
        self._suppressions.expect(evidence for one in returned for evidence in one.evidence)
        size = sum(ROW_COST + sum(len(forward.content) for forward in one.forwards) for one in returned)
        return await self._database.write_mail(record_returned_mail(self._lanes, returned, self._unsubscribes), size)


def record(events: Sequence[Event], unsubscribes: UnsubscribeTable) -> Callable[[Connection], Sequence[Event]]:
    """Store events outside delivery attempts, with the recipients' addresses from the database.

    The transaction of an `unsubscribe` event also adds its recipient to the unsubscribe list.
    """

    def operation(raw: Connection) -> Sequence[Event]:
        named = unsubscribes.apply_events(raw, with_recipients(raw, events))
        # In the order of the index by message, so that neighbours are on one page. The order within a message remains.
        for some in batched(sorted(named, key=attrgetter("queue_id")), AT_ONCE):
            raw.execute(insertion_of(INSERT_EVENT, len(some)), [*chain.from_iterable(event_rows(some))])
        return named

    return operation


def record_new(events: Sequence[Event], unsubscribes: UnsubscribeTable) -> Callable[[Connection], Sequence[Event]]:
    """Do the same for events of readers that may have come before: those that did are left out."""

    def operation(raw: Connection) -> Sequence[Event]:
        known = stored_keys(raw, events)
        fresh: list[Event] = []
        for event in events:
            key = _reader_key(event.queue_id, event.number, event.kind.value, event.at, event.data)
            if key not in known:
                known.add(key)
                fresh.append(event)
        return record(fresh, unsubscribes)(raw)

    return operation


@lru_cache(maxsize=16)
def stored_events_statement(count: int) -> str:
    """Return the statement that finds the stored events of so many messages in a span of time."""
    places = ", ".join("?" * count)
    return (
        "SELECT queue_id, number, kind, at, data FROM events "  # noqa: S608  places
        f"WHERE queue_id IN ({places}) AND at BETWEEN ? AND ?"
    )


def stored_keys(raw: Connection, events: Sequence[Event]) -> set[tuple[object, ...]]:
    """Return the keys of the stored events with recipient, kind and time of one of these."""
    wanted = {(one.queue_id, one.number, one.kind.value, one.at) for one in events}
    times = [one.at for one in events]
    span = [min(times, default=0.0), max(times, default=0.0)]
    keys: set[tuple[object, ...]] = set()
    # Each message is read once: one statement for each event would read all events of a newsletter for each.
    for some in batched(sorted({one.queue_id for one in events}), AT_ONCE):
        for *about, data in raw.execute(stored_events_statement(len(some)), [*some, *span]):
            if (place := tuple(about)) in wanted:
                keys.add(_reader_key(*place, decode_object(data)))
    return keys


def _reader_key(queue_id: str, number: int, kind: str, at: float, data: Mapping[str, object]) -> tuple[object, ...]:
    """Return what is unique to an event: its id, else all of its data."""
    own = data.get("id")
    return queue_id, number, kind, at, own if isinstance(own, str) and own else encode_object(data)


def record_returned_mail(
    lanes: DueLanes, returned: Sequence[ReturnedMail], unsubscribes: UnsubscribeTable
) -> Callable[[Connection], Sequence[Event]]:
    """Store returned mail with its evidence and forwarded messages; a known mail is skipped."""

    def operation(raw: Connection) -> Sequence[Event]:
        recorded: list[Event] = []
        for one in returned:
            if _is_known(raw, one.event):
                continue
            suppressions.add_evidence(raw, one.evidence)
            recorded += record([one.event], unsubscribes)(raw)
            insert(raw, lanes, one.forwards)
            for forward in one.forwards:
                recorded += forward.events
        return recorded

    return operation


def _is_known(raw: Connection, event: Event) -> bool:
    """Whether a stored event of that recipient has the same data, and perhaps more.

    Classification is ignored: the rules may change between a crash and the second reading of a mail.
    """
    given = {key: value for key, value in event.data.items() if key not in _CLASSIFICATION}
    items = decode_object(encode_object(given)).items()
    rows = raw.execute(SAME_KIND, (event.queue_id, event.number, event.kind.value))
    stored = [decode_object(data) for (data,) in rows]
    if "unproven" not in event.data:
        # Else a stranger could write the report first, and the proven one would count no more.
        stored = [data for data in stored if "unproven" not in data]
    return any(items <= data.items() for data in stored)

"""Events outside delivery attempts, and returned mail: SQL and its values."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain

from relay.events.event import READER_KINDS, Event
from relay.mail.lane import SIMULATOR_PREFIX
from relay.queue.message import ReturnedMail
from relay.storage import suppressions
from relay.storage.bulk_insert import batched, insertion_of
from relay.storage.database import Connection
from relay.storage.due_lanes import DueLanes
from relay.storage.json_columns import decode_list, decode_object, decode_strings, encode_object
from relay.storage.operations import ROW_COST, StoreDatabase
from relay.storage.queue_writes import insert
from relay.storage.rows import AT_ONCE, INSERT_EVENT, event_rows
from relay.storage.suppressions import SuppressionTable
from relay.storage.unsubscribes import UnsubscribeTable

OF_READERS = (
    "SELECT number, kind, at, data FROM events WHERE queue_id = ? "  # noqa: S608  names only
    f"AND kind IN ({', '.join(repr(kind.value) for kind in sorted(READER_KINDS))})"
)

SAME_KIND = "SELECT data FROM events WHERE queue_id = ? AND number = ? AND kind = ?"

_CLASSIFICATION = frozenset({"category", "rule", "guidance", "phase", "unproven"})
"""Fields of a returned mail's event that depend on the rules of classification and proof alone."""

_IS_SIMULATED = f"substr(lane, 1, {len(SIMULATOR_PREFIX)}) = '{SIMULATOR_PREFIX}'"

FIND_RECIPIENT = (
    f"SELECT CASE WHEN {_IS_SIMULATED} THEN ' ' ELSE '' END || recipient "  # noqa: S608  names only
    "FROM entries WHERE queue_id = ? AND number = ?"
)
"""A space before the address marks a simulated entry: no address begins with one, and it needs no second column."""


@lru_cache(maxsize=16)
def recipients_statement(count: int) -> str:
    """Return the statement that finds so many recipients at once."""
    return f"SELECT {', '.join([f'({FIND_RECIPIENT})'] * count)}"


FIND_LABELS = (
    "SELECT queue_id, campaign, tags, metadata FROM messages "  # noqa: S608  places only
    f"WHERE queue_id IN ({', '.join('?' * AT_ONCE)}) AND (campaign != '' OR tags != '' OR metadata != '')"
)


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
        named = unsubscribes.apply_events(raw, _named(raw, events))
        rows = event_rows(named)
        for some in batched(rows, AT_ONCE):
            raw.execute(insertion_of(INSERT_EVENT, len(some)), list(chain.from_iterable(some)))
        return named

    return operation


def record_new(events: Sequence[Event], unsubscribes: UnsubscribeTable) -> Callable[[Connection], Sequence[Event]]:
    """Do the same for events of readers that may have come before: those that did are left out."""

    def operation(raw: Connection) -> Sequence[Event]:
        known: dict[str, set[tuple[object, ...]]] = {}
        fresh: list[Event] = []
        for event in events:
            if event.queue_id not in known:
                rows = raw.execute(OF_READERS, (event.queue_id,))
                known[event.queue_id] = {_reader_key(row[0], row[1], row[2], decode_object(row[3])) for row in rows}

            key = _reader_key(event.number, event.kind.value, event.at, event.data)
            if key not in known[event.queue_id]:
                known[event.queue_id].add(key)
                fresh.append(event)
        return record(fresh, unsubscribes)(raw)

    return operation


def _reader_key(number: int, kind: str, at: float, data: Mapping[str, object]) -> tuple[object, ...]:
    """Return what is unique to an event of a message: its id, else all of it."""
    own = data.get("id")
    return (number, kind, own) if isinstance(own, str) and own else (number, kind, at, encode_object(data))


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


def _named(raw: Connection, events: Sequence[Event]) -> list[Event]:
    """Return the events; those without an address get the stored one, and the labels of their message."""
    unnamed = [event for event in events if not event.address]
    found = iter(_recipients(raw, [(event.queue_id, event.number) for event in unnamed]))
    labels = _labels(raw, {event.queue_id for event in unnamed})
    return [event if event.address else _with_address(event, next(found), labels) for event in events]


def _with_address(event: Event, address: str | None, labels: Mapping[str, Mapping[str, object]]) -> Event:
    """Add address and labels, if there are any. A new object costs half as much as `replace`."""
    if address is None:
        return event
    about, data = labels.get(event.queue_id, event.labels), event.data
    if address.startswith(" "):
        address, data = address[1:], {**event.data, "simulated": True}
    return Event(event.kind, event.at, event.queue_id, event.number, address, data, about)


def _labels(raw: Connection, queue_ids: Iterable[str]) -> dict[str, Mapping[str, object]]:
    """Return campaign, tags and metadata of the messages that have any, by queue id."""
    wanted = sorted(queue_ids)
    found: dict[str, Mapping[str, object]] = {}
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        for queue_id, campaign, tags, metadata in raw.execute(FIND_LABELS, some + some[:1] * (AT_ONCE - len(some))):
            labels = {"campaign": campaign, "tags": decode_list(tags), "metadata": decode_strings(metadata)}
            found[queue_id] = {name: value for name, value in labels.items() if value}
    return found


def _recipients(raw: Connection, keys: Sequence[tuple[str, int]]) -> Iterator[str | None]:
    """Yield the recipients of entries in the order of their keys, None for unknown entries."""
    for some in batched(keys, AT_ONCE):
        yield from raw.execute(recipients_statement(len(some)), list(chain.from_iterable(some))).fetchone()

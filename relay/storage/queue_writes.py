"""Writes to the queue: enqueue, settle, record events, operator changes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from relay.events.event import READER_KINDS, Event
from relay.queue.entry import Entry, State, StateError
from relay.queue.message import Message, NewMessage, ReturnedMail, Settlement
from relay.queue.ports import EntryChange, EntryQuery
from relay.storage import suppressions
from relay.storage.content_pieces import insert_contents
from relay.storage.database import Connection
from relay.storage.due_lanes import DueLanes
from relay.storage.integrity import content_row
from relay.storage.json_columns import decode_list, decode_object, decode_strings, encode_object
from relay.storage.message_queries import EntryKey, entry_at
from relay.storage.rows import (
    AT_ONCE,
    INSERT_ENTRY,
    INSERT_EVENT,
    INSERT_EVENTS,
    INSERT_LABEL,
    INSERT_LEASED,
    INSERT_MESSAGE,
    UNFINISHED,
    UPDATE_ENTRY,
    Row,
    entry_row,
    entry_update,
    event_rows,
    label_rows,
    message_row,
)
from relay.storage.unsubscribes import UnsubscribeTable

DROP_CONTENT = (
    "DELETE FROM contents WHERE queue_id = ?1 AND NOT EXISTS (SELECT 1 FROM entries "  # noqa: S608  names only
    f"WHERE queue_id = ?1 AND {UNFINISHED})"
)

OF_READERS = (
    "SELECT number, kind, at, data FROM events WHERE queue_id = ? "  # noqa: S608  names only
    f"AND kind IN ({', '.join(repr(kind.value) for kind in sorted(READER_KINDS))})"
)

SAME_KIND = "SELECT data FROM events WHERE queue_id = ? AND number = ? AND kind = ?"

_JUDGED = frozenset({"category", "rule", "guidance", "phase", "unproven"})
"""Fields of a returned mail's event that depend on the rules of classification and proof alone."""

FIND_RECIPIENT = "SELECT recipient FROM entries WHERE queue_id = ? AND number = ?"

FIND_RECIPIENTS = f"SELECT {', '.join([f'({FIND_RECIPIENT})'] * AT_ONCE)}"

FIND_LABELS = (
    "SELECT queue_id, campaign, tags, metadata FROM messages "  # noqa: S608  places only
    f"WHERE queue_id IN ({', '.join('?' * AT_ONCE)}) AND (campaign != '' OR tags != '' OR metadata != '')"
)


@dataclass(frozen=True, slots=True)
class NewLeases:
    """The leases of active entries of new messages."""

    values: Mapping[str, Row]
    """Values of the lease columns, by queue id."""
    statement: str = INSERT_LEASED
    """Inserts an entry with its lease columns."""


_NO_LEASES = NewLeases({})


def enqueue(lanes: DueLanes, accepted: Sequence[NewMessage], leases: NewLeases) -> Callable[[Connection], None]:
    """Store messages with their contents, entries and events. A content is kept while an entry needs it."""

    def operation(raw: Connection) -> None:
        insert(raw, lanes, accepted, leases)

    return operation


def insert(raw: Connection, lanes: DueLanes, accepted: Sequence[NewMessage], leases: NewLeases = _NO_LEASES) -> None:
    """Insert the rows of messages, table by table, and add their lanes."""
    messages = [message_row(one.message) for one in accepted]
    raw.executemany(INSERT_MESSAGE, messages)
    contents = [content_row(row, one.content) for row, one in zip(messages, accepted, strict=True) if not _is_done(one)]
    if contents:
        insert_contents(raw, contents)

    entries = [entry for one in accepted for entry in one.entries]
    _insert_entries(raw, entries, leases)

    labelled = (one.message for one in accepted)
    labels = [row for one in labelled for row in label_rows(one.queue_id, one.tags, one.metadata)]
    if labels:
        raw.executemany(INSERT_LABEL, labels)

    events = [event for one in accepted for event in one.events]
    if events:
        raw.executemany(INSERT_EVENT, event_rows(events))

    _add_lanes(lanes, entries)


def _insert_entries(raw: Connection, entries: Sequence[Entry], leases: NewLeases) -> None:
    leased = [(*entry_row(one), *leases.values[one.queue_id]) for one in entries if one.state is State.ACTIVE]
    if leased:
        raw.executemany(leases.statement, leased)
    if len(leased) < len(entries):
        raw.executemany(INSERT_ENTRY, [entry_row(one) for one in entries if one.state is not State.ACTIVE])


def _is_done(accepted: NewMessage) -> bool:
    return all(entry.is_final for entry in accepted.entries)


def apply(lanes: DueLanes, settlements: Sequence[Settlement]) -> Callable[[Connection], list[Settlement]]:
    """Write settlements: entries, events, and DSNs, which are composed here. Return the settlements as written.

    Raises StateError when an entry is final or unknown.
    """
    entries = [entry for settlement in settlements for entry in settlement.entries]
    events = [event for settlement in settlements for event in settlement.events]
    evidence = [one for settlement in settlements for one in settlement.evidence]
    delivered = [entry for entry in entries if entry.state is State.DELIVERED]

    def operation(raw: Connection) -> list[Settlement]:
        update(raw, lanes, entries, events)
        suppressions.clear_evidence(raw, delivered)
        suppressions.add_evidence(raw, evidence)
        written = [settlement.composed() for settlement in settlements]
        reports = [report for settlement in written for report in settlement.reports]
        if reports:
            insert(raw, lanes, reports)
        return written

    return operation


def update(raw: Connection, lanes: DueLanes, entries: Sequence[Entry], events: Sequence[Event]) -> None:
    """Write changed entries with their events, drop contents that no entry needs, and add the lanes."""
    if entries:
        written = raw.executemany(UPDATE_ENTRY, map(entry_update, entries)).rowcount
        if written != len(entries):
            names = ", ".join(f"{entry.queue_id}/{entry.number}" for entry in entries)
            raise StateError(f"{len(entries) - written} of these entries are final or unknown: {names}")

    if events:
        raw.executemany(INSERT_EVENT, event_rows(events))

    finished = {entry.queue_id for entry in entries if entry.is_final}
    if finished:
        raw.executemany(DROP_CONTENT, [(queue_id,) for queue_id in finished])

    _add_lanes(lanes, entries)


def record(events: Sequence[Event], unsubscribes: UnsubscribeTable) -> Callable[[Connection], Sequence[Event]]:
    """Store events outside delivery attempts, with the recipients' addresses from the database.

    The transaction of an `unsubscribe` event also adds its recipient to the unsubscribe list.
    """

    def operation(raw: Connection) -> Sequence[Event]:
        named = unsubscribes.apply_events(raw, _named(raw, events))
        rows = event_rows(named)
        full = len(rows) // AT_ONCE * AT_ONCE
        for start in range(0, full, AT_ONCE):
            raw.execute(INSERT_EVENTS, list(chain.from_iterable(rows[start : start + AT_ONCE])))
        if rows[full:]:
            raw.executemany(INSERT_EVENT, rows[full:])
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


def take_back(
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
    given = {key: value for key, value in event.data.items() if key not in _JUDGED}
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
    about = labels.get(event.queue_id, event.labels)
    return Event(event.kind, event.at, event.queue_id, event.number, address, event.data, about)


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
    full = len(keys) // AT_ONCE * AT_ONCE
    for start in range(0, full, AT_ONCE):
        yield from raw.execute(FIND_RECIPIENTS, list(chain.from_iterable(keys[start : start + AT_ONCE]))).fetchone()
    for key in keys[full:]:
        row = raw.execute(FIND_RECIPIENT, key).fetchone()
        yield None if row is None else row[0]


def _add_lanes(lanes: DueLanes, entries: Iterable[Entry]) -> None:
    for entry in entries:
        if entry.state is State.WAITING:
            lanes.add(entry.lane_flow, entry.next_attempt_at)


_CHANGEABLE = (State.WAITING, State.HELD)


def changeable_query(query: EntryQuery) -> EntryQuery | None:
    """Restrict a query to entries that may be changed; None when it excludes them all."""
    states = tuple(state for state in _CHANGEABLE if not query.states or state in query.states)
    return replace(query, states=states) if states else None


def apply_change(
    lanes: DueLanes, keys: Sequence[EntryKey], query: EntryQuery, rule: EntryChange
) -> Callable[[Connection], Sequence[tuple[Message, Entry]]]:
    """Apply the rule to the entries with these keys; return the changed entries.

    The keys were found before the transaction, because that may take long: entries changed since are skipped.
    """

    def operation(raw: Connection) -> Sequence[tuple[Message, Entry]]:
        changed: list[tuple[Message, Entry]] = []
        events: list[Event] = []
        for found in filter(None, (entry_at(raw, key) for key in keys)):
            message, entry = found
            if entry.state not in query.states or query.lane not in ("", entry.lane):
                continue
            result = rule(message, entry)
            if result is not None:
                changed.append((message, result[0]))
                events.extend(result[1])

        update(raw, lanes, [entry for _, entry in changed], events)
        return changed

    return operation

"""Writes to the queue: enqueue, settle, operator changes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from relay.events.event import Event
from relay.frozen import dataclass
from relay.queue.changes import Changed, EntryChange
from relay.queue.entry import Entry, State, StateError
from relay.queue.message import Message, NewMessage, Settlement
from relay.queue.ports import ChangedEntries, EntryQuery
from relay.storage import suppressions
from relay.storage.bulk_insert import insert_rows
from relay.storage.content_pieces import insert_contents
from relay.storage.database import Connection
from relay.storage.due_lanes import DueLanes
from relay.storage.idempotency import insert_keys
from relay.storage.integrity import content_row
from relay.storage.message_queries import EntryKey, entry_at
from relay.storage.rows import (
    INSERT_ENTRY,
    INSERT_EVENT,
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

DROP_CONTENT = (
    "DELETE FROM contents WHERE queue_id = ?1 AND NOT EXISTS (SELECT 1 FROM entries "  # noqa: S608  names only
    f"WHERE queue_id = ?1 AND {UNFINISHED})"
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
    insert_rows(raw, INSERT_MESSAGE, messages)
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
        insert_rows(raw, INSERT_EVENT, list(event_rows(events)))

    insert_keys(raw, accepted)
    _add_lanes(lanes, entries)


def _insert_entries(raw: Connection, entries: Sequence[Entry], leases: NewLeases) -> None:
    leased = [(*entry_row(one), *leases.values[one.queue_id]) for one in entries if one.state is State.ACTIVE]
    if leased:
        insert_rows(raw, leases.statement, leased)
    if len(leased) < len(entries):
        insert_rows(raw, INSERT_ENTRY, [entry_row(one) for one in entries if one.state is not State.ACTIVE])


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
        insert_rows(raw, INSERT_EVENT, list(event_rows(events)))

    finished = {entry.queue_id for entry in entries if entry.is_final}
    if finished:
        raw.executemany(DROP_CONTENT, [(queue_id,) for queue_id in finished])

    _add_lanes(lanes, entries)


def _add_lanes(lanes: DueLanes, entries: Iterable[Entry]) -> None:
    for entry in entries:
        if entry.state is State.WAITING:
            lanes.add(entry.lane_flow, entry.next_attempt_at)


CHANGEABLE = (State.WAITING, State.HELD)
"""States of entries that an operator may change."""


def changeable_query(query: EntryQuery) -> EntryQuery | None:
    """Restrict a query to entries that may be changed; None when it excludes them all."""
    states = tuple(state for state in CHANGEABLE if not query.states or state in query.states)
    return replace(query, states=states) if states else None


def apply_change(
    lanes: DueLanes,
    keys: Sequence[EntryKey],
    query: EntryQuery,
    rule: EntryChange,
    compose: Callable[[Connection, Changed], Sequence[NewMessage]] | None = None,
) -> Callable[[Connection], ChangedEntries]:
    """Apply the rule to the entries with these keys; return the changed entries, and what is composed about them.

    The keys were found before the transaction, because that may take long: entries changed since are skipped.
    """

    def operation(raw: Connection) -> ChangedEntries:
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

        # Before the update, which drops contents that no entry needs any more.
        reports = compose(raw, changed) if compose is not None else ()
        update(raw, lanes, [entry for _, entry in changed], events)
        insert(raw, lanes, reports)
        return ChangedEntries(changed, reports)

    return operation

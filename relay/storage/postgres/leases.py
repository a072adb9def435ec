"""Settlements under leases, and leases that are given back, lost or void."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from relay.queue.entry import Entry, LaneFlow
from relay.queue.message import ClaimedBatch, Settlement
from relay.storage import pauses, queue_writes
from relay.storage.claim import CLAMP, claimed_of
from relay.storage.database import Connection, Operation
from relay.storage.due_lanes import DueLanes
from relay.storage.integrity import Unreadable
from relay.storage.message_queries import EntryKey
from relay.storage.rows import CLAIM_COLUMNS, UNFINISHED, UPDATED_COLUMNS, Row, entry_update, insertion, qualified

T = TypeVar("T")

INSERT_LEASED = insertion("entries", f"{CLAIM_COLUMNS}, lease, lease_number")
"""Inserts an active entry."""

_LEASED = (
    "FROM unnest(?::text[], ?::int[], ?::text[], ?::bigint[]) AS held (queue_id, number, lease, lease_number) "
    "JOIN entries ON entries.queue_id = held.queue_id AND entries.number = held.number "
    "AND entries.lease = held.lease AND entries.lease_number = held.lease_number WHERE state = 'active' "
    "ORDER BY entries.queue_id, entries.number FOR UPDATE OF entries"
)

HELD = f"SELECT entries.queue_id, entries.number {_LEASED}"

GIVE_BACK = (
    "UPDATE entries SET state = 'waiting', lease = '' "  # noqa: S608  names of the schema
    f"FROM (SELECT entries.queue_id, entries.number {_LEASED}) AS mine "
    "WHERE entries.queue_id = mine.queue_id AND entries.number = mine.number"
)

LOCK = (
    "SELECT entries.queue_id FROM unnest(?::text[], ?::int[]) AS wanted (queue_id, number) "
    "JOIN entries ON entries.queue_id = wanted.queue_id AND entries.number = wanted.number "
    "ORDER BY entries.queue_id, entries.number FOR UPDATE OF entries"
)

LOCK_CONTENTS = (
    "SELECT queue_id FROM contents WHERE queue_id = ANY(?::text[]) AND EXISTS (SELECT FROM entries "  # noqa: S608
    f"WHERE entries.queue_id = contents.queue_id AND {UNFINISHED} OFFSET 1) ORDER BY queue_id FOR UPDATE"
)
"""Of messages with two unfinished entries or more. Two transactions that end the last ones would each see the other's
as unfinished, and both would keep the content."""

AS_SETTLED = (
    f"SELECT {qualified(UPDATED_COLUMNS, 'entries')}, entries.queue_id, entries.number "  # noqa: S608
    "FROM unnest(?::text[], ?::int[], ?::bigint[]) AS settled (queue_id, number, lease_number) "
    "JOIN entries ON entries.queue_id = settled.queue_id AND entries.number = settled.number "
    "AND entries.lease_number = settled.lease_number WHERE lease = ''"
)

_VOIDED = (
    "UPDATE entries SET state = 'waiting', lease = ''{more} FROM ("
    "SELECT queue_id, number FROM entries WHERE state = 'active' AND {which} FOR UPDATE SKIP LOCKED) AS void "
    "WHERE entries.queue_id = void.queue_id AND entries.number = void.number "
    "RETURNING entries.lane, entries.principal, entries.priority, entries.next_attempt_at"
)

VOID = _VOIDED.format(
    more=", uncertain = true",
    which="NOT EXISTS (SELECT 1 FROM nodes WHERE entries.lease IN (nodes.lease, nodes.former) AND entries.lease != '')",
)

RETURN_LOST = _VOIDED.format(more="", which="lease = ? AND lease_number != ALL(?::bigint[])")

LEFT = (
    f"SELECT {qualified(CLAIM_COLUMNS, 'entries')}, entries.lease, lease_number "  # noqa: S608
    "FROM entries JOIN nodes ON nodes.former = entries.lease "
    "WHERE node = ? AND former != '' AND queue_id = ? AND number = ? AND state = 'active'"
)

FORGET_FORMER = "UPDATE nodes SET former = '' WHERE node = ?"

_WIDTH = CLAIM_COLUMNS.count(",") + 1


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of a node, and the number of a claim made under it."""

    node: str
    number: int


Held = Mapping[EntryKey, Lease]


def return_lost(lanes: DueLanes, node: str, numbers: Collection[int]) -> Callable[[Connection], None]:
    """Return entries to the queue that claims without a result leased: their results were lost."""

    def operation(raw: Connection) -> None:
        _add_due(lanes, raw.execute(RETURN_LOST, (node, list(numbers))).fetchall())

    return operation


def give_back(lanes: DueLanes, entries: Sequence[Entry], held: Held) -> Callable[[Connection], None]:
    """Return entries to the queue that their claimant gave up."""

    def operation(raw: Connection) -> None:
        raw.execute(GIVE_BACK, _columns(held))
        for entry in entries:
            lanes.add(entry.lane_flow, entry.next_attempt_at)

    return operation


def leased_before(keys: Sequence[EntryKey], node: str) -> Callable[[Connection], list[tuple[ClaimedBatch, Held]]]:
    """Return the entries that the previous run of this node still has leased, by message, with the leases."""

    def operation(raw: Connection) -> list[tuple[ClaimedBatch, Held]]:
        rows = [row for key in keys for row in raw.execute(LEFT, (node, *key))]
        leases = {(row[0], row[1]): Lease(row[_WIDTH], row[_WIDTH + 1]) for row in rows}
        return [
            (claimed, {(one.queue_id, one.number): leases[one.queue_id, one.number] for one in claimed.entries})
            for claimed in claimed_of(raw, rows, Unreadable())
        ]

    return operation


def recover(
    lanes: DueLanes, now: float, longest_wait: float, node: str
) -> Callable[[Connection], list[tuple[LaneFlow, float]]]:
    """Void the leases of dead nodes and of this node's previous run; clamp waits; return lanes and due times."""

    def operation(raw: Connection) -> list[tuple[LaneFlow, float]]:
        raw.execute(FORGET_FORMER, (node,))
        voided = [due_of(row) for row in raw.execute(VOID)]
        raw.execute(CLAMP, (now + longest_wait,))
        pauses.clock_set(raw, now, 0.0)
        lanes.stale = True
        return voided

    return operation


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Settlements of one caller, with the leases of their entries."""

    settlements: Sequence[Settlement]
    held: Held
    unanswered: Collection[EntryKey] = ()
    """Entries that an earlier transaction without a result may have written."""


def acknowledge(lanes: DueLanes, batch: Sequence[Acknowledgement]) -> Callable[[Connection], list[list[Settlement]]]:
    """Write settlements whose leases are still valid; return those written, for each of the batch."""
    held = {key: lease for one in batch for key, lease in one.held.items()}
    settled = {
        (entry.queue_id, entry.number): entry
        for one in batch
        for settlement in one.settlements
        for entry in settlement.entries
    }

    def operation(raw: Connection) -> list[list[Settlement]]:
        ours = {(row[0], row[1]) for row in raw.execute(HELD, _columns(held))}
        raw.execute(LOCK_CONTENTS, (sorted({queue_id for queue_id, _ in ours}),))
        queue_writes.apply(lanes, [settlement.only(ours) for one in batch for settlement in one.settlements])(raw)
        doubtful = {key for one in batch for key in one.unanswered}.difference(ours)
        kept = ours | _written(raw, {key: held[key] for key in doubtful}, settled) if doubtful else ours
        return [[settlement.only(kept).composed() for settlement in one.settlements] for one in batch]

    return operation


def _written(raw: Connection, held: Held, settled: Mapping[EntryKey, Entry]) -> set[EntryKey]:
    """Return the entries that are stored exactly as settled, and not claimed since."""
    queue_ids, numbers, _, claims = _columns(held)
    rows = raw.execute(AS_SETTLED, (queue_ids, numbers, claims)).fetchall()
    return {(row[-2], row[-1]) for row in rows if tuple(row) == entry_update(settled[row[-2], row[-1]])}


def locking(keys: Sequence[EntryKey], operation: Operation[T]) -> Operation[T]:
    """Lock these entries before the operation reads them: no other node may claim or settle them meanwhile."""

    def locked(raw: Connection) -> T:
        queue_ids = [key[0] for key in keys]
        raw.execute(LOCK, (queue_ids, [key[1] for key in keys])).fetchall()
        raw.execute(LOCK_CONTENTS, (queue_ids,))
        return operation(raw)

    return locked


def _columns(held: Held) -> tuple[list[str], list[int], list[str], list[int]]:
    leases = held.values()
    return (
        [key[0] for key in held],
        [key[1] for key in held],
        [lease.node for lease in leases],
        [lease.number for lease in leases],
    )


def _add_due(lanes: DueLanes, rows: Iterable[Row]) -> None:
    for flow, due in map(due_of, rows):
        lanes.add(flow, due)


def due_of(row: Row) -> tuple[LaneFlow, float]:
    """Return the flow and the due time of a row of lane, principal, priority and due time."""
    return LaneFlow(*row[:3]), row[3]


_FLOW = "SELECT lane, principal, priority, next_attempt_at AS due FROM entries WHERE state = 'waiting'"

_FIRST = "ORDER BY lane, principal, priority, next_attempt_at LIMIT 1"

FLOWS = (
    f"WITH RECURSIVE flows AS (({_FLOW} {_FIRST}) UNION ALL SELECT following.* FROM flows CROSS JOIN LATERAL ("  # noqa: S608
    f"{_FLOW} AND (lane, principal, priority) > (flows.lane, flows.principal, flows.priority) {_FIRST}"
    ") AS following) SELECT lane, principal, priority, due FROM flows"
)
"""One seek a flow: its first entry in the index on open entries, then the first entry of the next flow."""


def all_flows(raw: Connection) -> Iterable[tuple[LaneFlow, float]]:
    """Return the flows with waiting entries and the first due time of each."""
    return [due_of(row) for row in raw.execute(FLOWS)]

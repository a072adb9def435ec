"""The queue in PostgreSQL, shared by several nodes."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from relay.events.ports import StoreError
from relay.log import Emit
from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import Entry, State
from relay.queue.message import ClaimedBatch, NewMessage, Settlement
from relay.queue.ports import Depth
from relay.storage import claim, message_queries, purge, queue_writes
from relay.storage.batcher import Batcher
from relay.storage.database import Connection, Operation
from relay.storage.due_lanes import DueLanes
from relay.storage.message_queries import EntryKey
from relay.storage.operations import StoreDatabase
from relay.storage.postgres import clock_steps, leases, partitions
from relay.storage.postgres.connection import seeking
from relay.storage.postgres.errors import BusyError
from relay.storage.postgres.heartbeat import Notifier
from relay.storage.postgres.in_flight import InFlight
from relay.storage.postgres.nodes import NodeRegistry
from relay.storage.queue_store import BaseQueueStore, active_entries, size_of
from relay.storage.recent_messages import RecentMessages
from relay.storage.writer import MAX_WAITING_BYTES

T = TypeVar("T")


class PostgresQueueStore(BaseQueueStore):
    """Claims under the lease of this node, and notifies other nodes of new work."""

    purged_tables = purge.DELETES_BESIDE_EVENTS

    def __init__(
        self,
        database: StoreDatabase,
        lanes: DueLanes,
        recent: RecentMessages,
        *,
        in_flight: InFlight,
        nodes: NodeRegistry,
        notifier: Notifier,
        log: Emit,
    ) -> None:
        super().__init__(database, lanes, recent)
        self.in_flight = in_flight
        self._nodes = nodes
        self._notifier = notifier
        self._log = log
        self._enqueue = Batcher[tuple[NewMessage, leases.Lease | None], None](self._insert)
        self._waiting_bytes = 0

    async def close(self) -> None:
        """Complete running settlements and enqueues."""
        await self.in_flight.close()
        await self._enqueue.close()

    @property
    def can_lease(self) -> bool:
        """Whether this node has a valid lease."""
        return self.in_flight.can_lease

    def holds(self, entries: Sequence[Entry]) -> bool:
        """Whether this node still has the lease under which it claimed these entries."""
        return self.in_flight.holds(entries)

    async def enqueue(self, accepted: NewMessage) -> bool:
        """Store message, content, entries and events; lease the active entries. False if the lease ended meanwhile."""
        size = size_of(accepted)
        if self._waiting_bytes + size > MAX_WAITING_BYTES > size:
            raise StoreError(f"PostgreSQL is behind: {self._waiting_bytes} octets wait to be written; try again soon")
        leased = active_entries(accepted)
        lease = self.in_flight.hold(leased) if leased else None
        self._waiting_bytes += size
        try:
            await self._enqueue((accepted, lease))
        except BaseException:
            if lease is not None:
                self.in_flight.abandon(leased)
            raise
        finally:
            self._waiting_bytes -= size

        is_leased = lease is None or self.in_flight.is_current(lease)
        if not is_leased:
            self.in_flight.abandon(leased)
        self._announce(accepted.entries)
        return is_leased

    async def _insert(self, batch: Sequence[tuple[NewMessage, leases.Lease | None]]) -> Sequence[None]:
        values = {one.message.queue_id: (lease.node, lease.number) for one, lease in batch if lease is not None}
        new = queue_writes.NewLeases(values, leases.INSERT_LEASED)
        try:
            await self._database.write(queue_writes.enqueue(self._lanes, [one for one, _ in batch], new))
        finally:
            self.in_flight.inserted(entry for one, _ in batch for entry in active_entries(one))
        self._recent.add(one for one, _ in batch)
        return [None] * len(batch)

    async def recover(self, now: float, longest_wait: float) -> int:
        """Void leases of this node's previous run and of dead nodes; clamp waits; return the number of voids."""
        self.in_flight.drop_stale()
        freed = await self._database.write(leases.recover(self._lanes, now, longest_wait, self._nodes.id))
        self._notifier.notify(freed)
        return len(freed)

    async def shift_clock(self, now: float, step: float, longest_wait: float, lifetime: float) -> None:
        """Adapt due times to a clock step. Forward, the first node does it: each would lengthen all lifetimes again."""
        shift = claim.clock_set(self._lanes, now, step, longest_wait, lifetime)
        is_first = clock_steps.is_first_to_find(self._nodes.id, now, step)

        def operation(raw: Connection) -> None:
            if step < 0 or is_first(raw):
                shift(raw)
            self._lanes.stale = True

        await self._database.write(operation)

    async def leased_by_previous_run(self, keys: Sequence[EntryKey]) -> Sequence[ClaimedBatch]:
        """Return the entries that this node's previous run still has leased, by message."""
        left = await self._database.read(leases.leased_before(keys, self._nodes.id))
        for _, held in left:
            self.in_flight.adopt(held)
        return [claimed for claimed, _ in left]

    async def claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        """Lease due entries; none without a valid lease of this node. When the caller is cancelled, return them."""
        return await self.in_flight.claim(now, room)

    async def apply(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """Write entries, events and reports; return those written, without entries that another node took over.

        Raises StateError when an entry was not claimed here, or settled before.
        """
        kept = await self.in_flight.settle(settlements)

        for settlement, written in zip(settlements, kept, strict=True):
            if lost := len(settlement.entries) - len(written.entries):
                self._log("queue.lease_lost", queue_id=settlement.entries[0].queue_id, entries=lost)
            self._announce(written.entries)
            for report in written.reports:
                self._announce(report.entries)
        return kept

    async def depth(self) -> Mapping[tuple[str, State], int]:
        """Return the number of entries that are not final, by lane and state, from the index on open entries."""
        return await self._database.read(seeking(message_queries.depth))

    async def depth_by_time(self, now: float) -> Sequence[Depth]:
        """Return the entries that are not final, by lane, state and whether they are due."""
        return await self._database.read(seeking(message_queries.depth_by_time(now)))

    async def oldest(self) -> Mapping[str, str]:
        """Return the queue id of the oldest message with a waiting entry, by lane, from the index on open entries."""
        return await self._database.read(seeking(message_queries.oldest))

    async def _purge_events(self, before: float) -> None:
        """Delete events from before that time, of any message: whole partitions where possible."""
        with suppress(BusyError):  # A long report holds the table; the next purge tries again.
            await self._database.write(partitions.drop_before(before))

    def _locking(self, keys: Sequence[EntryKey], operation: Operation[T]) -> Operation[T]:
        """Lock these entries before the operation: another node could claim them meanwhile."""
        return leases.locking(keys, operation)

    def _announce(self, entries: Iterable[Entry]) -> None:
        """Notify other live nodes of waiting entries."""
        if len(self._nodes.live) > 1:
            self._notifier.notify((one.lane_flow, one.next_attempt_at) for one in entries if one.state is State.WAITING)

"""The queue in a database file, which one process uses."""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from relay.events.ports import StoreError
from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import Entry
from relay.queue.message import ClaimedBatch, NewMessage, Settlement
from relay.storage import claim, purge, queue_writes
from relay.storage.claim_source import ClaimSource
from relay.storage.database import Connection
from relay.storage.due_lanes import DueLanes
from relay.storage.grouped_operations import GroupedOperation
from relay.storage.integrity import leaving_out
from relay.storage.message_queries import EntryKey
from relay.storage.operations import StoreDatabase
from relay.storage.queue_store import BaseQueueStore, active_entries, size_of
from relay.storage.recent_messages import RecentMessages
from relay.storage.suppressions import SuppressionTable
from relay.storage.writer import Writer


class SqliteQueueStore(BaseQueueStore):
    """Claims under a lease that ends with the process."""

    purged_tables = purge.DELETES

    def __init__(
        self, database: StoreDatabase, lanes: DueLanes, writer: Writer, suppressions: SuppressionTable
    ) -> None:
        super().__init__(database, lanes, RecentMessages())
        self._writer = writer
        self._suppressions = suppressions
        self.boot = uuid.uuid4().hex
        """Lease of all entries claimed since this store was opened."""

    @property
    def can_lease(self) -> bool:
        """Whether this process has a valid lease: always."""
        return True

    async def enqueue(self, accepted: NewMessage) -> bool:
        """Store message, content, entries and events in one transaction; lease the active entries. Always True."""
        leased = active_entries(accepted)
        try:
            await self._database.write_checked_mail(GroupedOperation(self._insert, accepted), size_of(accepted))
        except BaseException:
            # The transaction may have been committed all the same.
            self._release(leased)
            raise
        return True

    def _insert(self, raw: Connection, accepted: Sequence[NewMessage]) -> Sequence[None]:
        self._database.check_space(*map(size_of, accepted))
        leases = {one.message.queue_id: (self.boot,) for one in accepted}
        queue_writes.insert(raw, self._lanes, accepted, queue_writes.NewLeases(leases))
        self._recent.add(accepted)
        return [None] * len(accepted)

    async def recover(self, now: float, longest_wait: float) -> int:
        """Void the leases of earlier processes and clamp waits; return how many leases were voided."""
        return await self._database.write(claim.recover(self._lanes, now, longest_wait, self.boot))

    async def leased_by_previous_run(self, keys: Sequence[EntryKey]) -> Sequence[ClaimedBatch]:
        """Return the entries that an earlier process still has leased, by message."""
        operation = claim.leased_before(keys, self.boot, self._unreadable)
        return await leaving_out(lambda: self._database.read(operation))

    async def claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        """Lease due entries. When the caller is cancelled, they are returned to the queue."""
        return await leaving_out(lambda: self._claim(now, room))

    async def _claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        claiming = self._writer.submit(
            claim.claim(self._lanes, now, room, lambda raw: ClaimSource(raw, self.boot, self._unreadable, self._recent))
        )
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(self._return)
            raise

    def _return(self, claiming: asyncio.Future[Sequence[ClaimedBatch]]) -> None:
        if claiming.cancelled() or claiming.exception() is not None:
            return
        self._release([entry for claimed in claiming.result() for entry in claimed.entries])

    def _release(self, entries: Sequence[Entry]) -> None:
        """Return leased entries to the queue, after all operations that were submitted before."""
        if entries:
            with suppress(StoreError):  # A closed store: the next start voids the leases.
                self._writer.post(claim.release(self._lanes, entries, self.boot))

    async def apply(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """Write entries, events and reports in one transaction; StateError when an entry is final or unknown."""
        self._suppressions.expect(evidence for one in settlements for evidence in one.evidence)
        return await self._database.write(GroupedOperation(self._settle, settlements))

    def _settle(self, raw: Connection, together: Sequence[Sequence[Settlement]]) -> Sequence[Sequence[Settlement]]:
        written = iter(queue_writes.apply(self._lanes, [one for some in together for one in some])(raw))
        return [list(islice(written, len(some))) for some in together]

    async def _purge_events(self, before: float) -> None:
        """Delete old events of unknown messages."""
        event: int | None = -1
        while event is not None:
            event = await self._database.write(purge.purge_events(before, event))

"""In-flight entries of this node and the lease each was claimed under, until they are settled.

A result can be lost with its connection, and then it is unknown whether the transaction committed. Entries of a claim
without a result are found by the number of the claim and returned. A settlement without a result is recognised when
it is tried again.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count

from relay.events.ports import StoreError
from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import Entry, StateError
from relay.queue.message import ClaimedBatch, Settlement
from relay.storage import claim
from relay.storage.batcher import Batcher
from relay.storage.due_lanes import DueLanes
from relay.storage.message_queries import EntryKey
from relay.storage.postgres import leases
from relay.storage.postgres.claim_source import PostgresClaimSource
from relay.storage.postgres.heartbeat import Heartbeat
from relay.storage.recent_messages import RecentMessages
from relay.storage.writer import Writer


class InFlight:
    """Claims and settles under the lease of the heartbeat."""

    def __init__(self, writer: Writer, lanes: DueLanes, heartbeat: Heartbeat, recent: RecentMessages) -> None:
        self._writer = writer
        self._lanes = lanes
        self._heartbeat = heartbeat
        self._recent = recent
        self._held: dict[EntryKey, leases.Lease] = {}
        self._numbers = count(1)
        self._claiming: set[int] = set()
        self._result_lost = False
        """Whether a claim without a result may have leased entries."""
        self._unanswered: set[EntryKey] = set()
        """Entries that a settlement without a result may have written."""
        self._acknowledge = Batcher[leases.Acknowledgement, list[Settlement]](
            lambda batch: writer.run(leases.acknowledge(lanes, batch))
        )

    def __len__(self) -> int:
        return len(self._held)

    def adopt(self, left: Mapping[EntryKey, leases.Lease]) -> None:
        """Add entries that the previous run had in flight."""
        self._held |= left

    def drop_stale(self) -> None:
        """Drop all entries but those claimed under the current lease."""
        self._held = {key: lease for key, lease in self._held.items() if lease.node == self._heartbeat.lease}

    @property
    def can_lease(self) -> bool:
        """Whether this node has a valid lease."""
        return self._heartbeat.lease_valid

    def hold(self, entries: Iterable[Entry]) -> leases.Lease:
        """Return a lease for entries of a new message, which the transaction of the message stores."""
        lease = leases.Lease(self._heartbeat.lease, next(self._numbers))
        self._held |= {(entry.queue_id, entry.number): lease for entry in entries}
        return lease

    def is_current(self, lease: leases.Lease) -> bool:
        """Whether this node still has the lease. After its end other nodes may attempt its entries."""
        return self.can_lease and lease.node == self._heartbeat.lease

    def holds(self, entries: Iterable[Entry]) -> bool:
        """Whether the entries were claimed under the current lease, and it is certainly valid."""
        held = [self._held.get((entry.queue_id, entry.number)) for entry in entries]
        return all(lease is not None and self.is_current(lease) for lease in held)

    def abandon(self, entries: Iterable[Entry]) -> None:
        """Forget entries of a new message. The next claim returns them to the queue, if they were stored."""
        for entry in entries:
            self._held.pop((entry.queue_id, entry.number), None)
        self._result_lost = True

    def inserted(self, entries: Iterable[Entry]) -> None:
        """Have the next claim return those that were abandoned while their transaction ran."""
        if any((entry.queue_id, entry.number) not in self._held for entry in entries):
            self._result_lost = True

    async def claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        """Lease due entries, none without a valid lease of this node. When the caller is cancelled, return them."""
        if not self.can_lease:
            return ()
        if self._result_lost:
            await self._return_lost()

        lease = leases.Lease(self._heartbeat.lease, next(self._numbers))
        self._claiming.add(lease.number)
        find = partial(PostgresClaimSource, lease=lease, held=self._held, recent=self._recent)
        claiming = self._writer.submit(claim.claim(self._lanes, now, room, find))
        claiming.add_done_callback(partial(self._claimed, lease))

        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(self._return)
            raise

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """Write settlements; return those written, now or by an earlier call without a result.

        Raises StateError when an entry was not claimed here, or settled before.
        """
        keys = [(entry.queue_id, entry.number) for settlement in settlements for entry in settlement.entries]
        if unknown := [key for key in keys if key not in self._held]:
            names = ", ".join(f"{queue_id}/{number}" for queue_id, number in unknown)
            raise StateError(f"these entries are final or unknown: {names}")

        held = {key: self._held[key] for key in keys}
        try:
            kept = await self._acknowledge(
                leases.Acknowledgement(settlements, held, self._unanswered.intersection(keys))
            )
        except StoreError:
            self._unanswered.update(keys)
            raise

        self._unanswered.difference_update(keys)
        for key in keys:
            self._held.pop(key, None)
        return kept

    async def close(self) -> None:
        """Complete the settlements that are running."""
        await self._acknowledge.close()

    def _claimed(self, lease: leases.Lease, claiming: asyncio.Future[Sequence[ClaimedBatch]]) -> None:
        self._claiming.discard(lease.number)
        if claiming.cancelled() or claiming.exception() is not None:
            self._result_lost = True  # The transaction may have committed.
            return
        for claimed in claiming.result():
            self._held |= {(entry.queue_id, entry.number): lease for entry in claimed.entries}

    def _return(self, claiming: asyncio.Future[Sequence[ClaimedBatch]]) -> None:
        if claiming.cancelled() or claiming.exception() is not None:
            return
        entries = [entry for claimed in claiming.result() for entry in claimed.entries]
        held = {key: self._held.pop(key) for key in ((entry.queue_id, entry.number) for entry in entries)}
        if entries:
            with suppress(StoreError):  # A closed store: the lease expires.
                self._writer.post(leases.give_back(self._lanes, entries, held))

    async def _return_lost(self) -> None:
        """Return entries to the queue that claims without a result took."""
        lease = self._heartbeat.lease
        known = self._claiming.union(held.number for held in self._held.values() if held.node == lease)
        await self._writer.run(leases.return_lost(self._lanes, lease, known))
        self._result_lost = False

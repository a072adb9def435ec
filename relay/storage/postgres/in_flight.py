"""What a node has in hand: the entries it claimed, each with the lease it was taken under, until they are settled.

An answer can be lost with its connection, and nobody knows whether there was a commit. What a claim took without an
answer is found by its number and given back; what a settlement wrote without an answer is known again when it is tried
once more.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count

from relay.events.ports import StoreError
from relay.queue.entry import StateError
from relay.queue.message import ClaimedBatch, Settlement
from relay.queue.ports import ClaimLimits
from relay.storage import claim
from relay.storage.batcher import Batcher
from relay.storage.due_lanes import DueLanes
from relay.storage.postgres import leases
from relay.storage.postgres.heartbeat import Heartbeat
from relay.storage.queries import EntryKey
from relay.storage.writer import Writer


class InFlight:
    """Claims and settles under the lease that the pulse keeps."""

    def __init__(self, writer: Writer, lanes: DueLanes, pulse: Heartbeat) -> None:
        self._writer = writer
        self._lanes = lanes
        self._pulse = pulse
        self._held: dict[EntryKey, leases.Lease] = {}
        self._numbers = count(1)
        self._claiming: set[int] = set()
        self._doubtful = False
        """Whether a claim may have taken something without our knowing."""
        self._unanswered: set[EntryKey] = set()
        """What a settlement may have been written of without our knowing."""
        self._acknowledge = Batcher[leases.Acknowledgement, list[Settlement]](
            lambda batch: writer.run(leases.acknowledge(lanes, batch))
        )

    def __len__(self) -> int:
        return len(self._held)

    def adopt(self, left: Mapping[EntryKey, leases.Lease]) -> None:
        """Hold what the start before had in hand."""
        self._held |= left

    def drop_stale(self) -> None:
        """Hold nothing any more but what was taken under the lease in force."""
        self._held = {key: lease for key, lease in self._held.items() if lease.node == self._pulse.lease}

    async def claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        """Lease due entries, none without a good lease of our own. When the caller is cancelled, give them back."""
        if not self._pulse.lease_valid:
            return ()
        if self._doubtful:
            await self._disown()
        lease = leases.Lease(self._pulse.lease, next(self._numbers))
        self._claiming.add(lease.number)
        find = partial(leases.PostgresClaimSource, lease=lease, held=self._held)
        claiming = self._writer.submit(claim.claim(self._lanes, now, room, find))
        claiming.add_done_callback(partial(self._claimed, lease))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(self._give_back)
            raise

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """Write settlements; return what was written, now or by an earlier call that saw no answer.

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
        """Complete what is being settled."""
        await self._acknowledge.close()

    def _claimed(self, lease: leases.Lease, claiming: asyncio.Future[Sequence[ClaimedBatch]]) -> None:
        self._claiming.discard(lease.number)
        if claiming.cancelled() or claiming.exception() is not None:
            self._doubtful = True  # It may have been committed all the same.
            return
        for claimed in claiming.result():
            self._held |= {(entry.queue_id, entry.number): lease for entry in claimed.entries}

    def _give_back(self, claiming: asyncio.Future[Sequence[ClaimedBatch]]) -> None:
        if claiming.cancelled() or claiming.exception() is not None:
            return
        entries = [entry for claimed in claiming.result() for entry in claimed.entries]
        held = {key: self._held.pop(key) for key in ((entry.queue_id, entry.number) for entry in entries)}
        if entries:
            with suppress(StoreError):  # A closed store: the lease runs out.
                self._writer.post(leases.give_back(self._lanes, entries, held))

    async def _disown(self) -> None:
        """Make waiting again what claims took whose answer was lost."""
        lease = self._pulse.lease
        known = self._claiming.union(held.number for held in self._held.values() if held.node == lease)
        await self._writer.run(leases.disown(self._lanes, lease, known))
        self._doubtful = False

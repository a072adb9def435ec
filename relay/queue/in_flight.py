"""Entries, contents and attempts in flight in one process. No party takes more than a share that others need."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from relay.limits.priority import Flow, Priority
from relay.limits.shares import Shares
from relay.queue.lanes import LaneTable
from relay.queue.message import ClaimedBatch
from relay.queue.ports import QueueObserver
from relay.queue.transmitter import Transmitter

MAX_ENTRIES = 2000
"""Entries in flight in one process, shared out among the accountable parties."""

MAX_RESERVED = 2000
"""Entries in flight beyond these, of parties that have few: the others hold all of them."""

MAX_CONTENT = 64 * 1024 * 1024
"""Octets of contents and renderings in memory. Beyond it contents are read into files, when their turn comes."""

_PARTY, _CAMPAIGN = 1.0, 0.5
"""Factors of the shares: one party alone may hold half of the entries, its campaigns a third."""

RESERVED = 5
"""Entries that each party may have in flight, whatever the others hold: many that hang would leave nothing."""


@dataclass(slots=True)
class FlowTable:
    """Entries in flight by accountable party and priority. Pure."""

    shares: Shares

    def start(self, flow: Flow, entries: int) -> None:
        """Add entries to those in flight."""
        self.shares.take(entries, _holders(flow))

    def finish(self, flow: Flow, entries: int) -> None:
        """Subtract entries from those in flight."""
        self.shares.give_back(entries, _holders(flow))

    def capacity(self) -> Mapping[Flow, int]:
        """Return the entries that may be claimed of each priority, for the parties in use."""
        parties = [party for party in self.shares.held if isinstance(party, str)]
        flows = [Flow(party, priority) for party in parties for priority in Priority]
        return {flow: self.capacity_of(flow) for flow in flows}

    def capacity_of(self, flow: Flow) -> int:
        """Return the entries that may be claimed of a priority of a party."""
        reserved = RESERVED - self.shares.held.get(flow.accountable, 0)
        return max(reserved, min(self.shares.room(holder, factor) for holder, factor in _holders(flow).items()))

    def full(self) -> frozenset[Flow]:
        """Return the priorities of parties of which no entry may be claimed."""
        return frozenset(flow for flow, free in self.capacity().items() if free <= 0)

    def initial_capacity(self) -> int:
        """Return the entries that may be claimed for a party that is not in use."""
        return max(RESERVED, int(self.shares.free / 2))


@lru_cache(maxsize=1024)
def _holders(flow: Flow) -> Mapping[str | Flow, float]:
    """Return the factors of the shares by which a flow is bounded. It is cached: each attempt asks several times."""
    party = flow.accountable
    if flow.priority is Priority.CAMPAIGN:
        return MappingProxyType({party: _PARTY, flow.of_party: _CAMPAIGN})
    return MappingProxyType({party: _PARTY})


class AttemptTable:
    """Counts entries and contents in flight, here, in their lanes and in their flows, and runs attempts as tasks."""

    def __init__(
        self,
        lanes: LaneTable,
        flows: FlowTable,
        transmitter: Transmitter,
        watch: QueueObserver,
        attempt: Callable[[ClaimedBatch, float], Coroutine[None, None, None]],
        ended: Callable[[str], None],
    ) -> None:
        """Run `attempt` for each batch; call `ended` with the name of the lane when its capacity is free again."""
        self._lanes = lanes
        self._flows = flows
        self._transmitter = transmitter
        self._watch = watch
        self._attempt = attempt
        self._ended = ended
        self._tasks: set[asyncio.Task[None]] = set()
        self._entries = 0
        self._content = 0

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def entries_left(self) -> int:
        """Return the number of entries that may be put in flight now."""
        return MAX_ENTRIES + MAX_RESERVED - self._entries

    @property
    def content_left(self) -> int:
        """Return the octets of content that may be read into memory now."""
        return max(0, MAX_CONTENT - self._content - self._transmitter.in_memory)

    def reserve(self, batch: ClaimedBatch) -> None:
        """Count a batch as in flight."""
        lane, flow = batch.entries[0].lane, batch.entries[0].flow
        self._lanes.start(lane, batch.transactions, flow.accountable)
        self._flows.start(flow, len(batch.entries))
        self._entries += len(batch.entries)
        self._content += _octets(batch)

    def release(self, batch: ClaimedBatch) -> None:
        """Count a batch as in flight no more."""
        lane, flow = batch.entries[0].lane, batch.entries[0].flow
        self._lanes.finish(lane, batch.transactions, flow.accountable)
        self._flows.finish(flow, len(batch.entries))
        self._entries -= len(batch.entries)
        self._content -= _octets(batch)

    def start(self, batch: ClaimedBatch, offset: float) -> None:
        """Begin the attempt for a reserved batch, at the next turn of the event loop. Its end releases the batch.

        `offset` is that of the clocks (`ClockGuard.offset`) when the batch was claimed or accepted.
        """
        task = asyncio.get_running_loop().create_task(self._attempt(batch, offset))
        self._tasks.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self.release(batch)
            if not done.cancelled() and (error := done.exception()) is not None:
                self._watch.unexpected(batch.message.queue_id, error)
            self._ended(batch.entries[0].lane)

        task.add_done_callback(ended)

    async def finish(self, grace: float) -> None:
        """Wait for the attempts in flight. After `grace` seconds cancel them."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _octets(batch: ClaimedBatch) -> int:
    """Return the octets of content that a batch keeps in memory."""
    return len(batch.content) if isinstance(batch.content, bytes) else 0

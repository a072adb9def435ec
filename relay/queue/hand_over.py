"""Hands new messages over to delivery without a claim, while a claim would take them at once and nothing else.

Such entries are stored as active, under the lease of this process, in the transaction that accepts the message. That
saves one update of each entry, one read of each content, and the claims that find nothing.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from relay.content_file import LARGE
from relay.frozen import replace
from relay.limits.priority import Flow
from relay.mail.transaction import MAX_RECIPIENTS
from relay.queue.clock_guard import ClockGuard
from relay.queue.context import QueueContext
from relay.queue.entry import Entry, LaneFlow, State, move
from relay.queue.in_flight import AttemptTable, FlowTable
from relay.queue.lanes import LaneTable
from relay.queue.message import ClaimedBatch, NewMessage
from relay.queue.nodes import NodeConnections
from relay.queue.shared_pauses import SharedPauses


@dataclass(frozen=True, slots=True)
class IdleState:
    """What the runner found before it began to wait: no entry is due, apart from those that it may not claim."""

    until: float
    """Unix seconds of the next claim."""
    lanes: Collection[str]
    """Lanes without capacity, or whose site allows no message now."""
    flows: Collection[Flow]
    """Priorities of parties without capacity."""
    connections: NodeConnections
    """The connections of this node. In lanes of other nodes entries may be due."""

    def is_clear(self, waiting: LaneFlow) -> bool:
        """Whether no entry is due that an entry of this flow would overtake."""
        return (
            waiting.lane not in self.lanes
            and not (self.flows and waiting.flow.of_party in self.flows)
            and self.connections.may_open(waiting.lane)
        )


class HandOver:
    """Stores new messages, and begins the attempts of entries that need no claim.

    An empty claim does not prove that nothing is due: lanes, flows, node or process may have had no capacity. The proof
    is the due time of the next entry, together with what it leaves out.
    """

    def __init__(
        self,
        context: QueueContext,
        lanes: LaneTable,
        flows: FlowTable,
        attempts: AttemptTable,
        pauses: SharedPauses,
        clock_guard: ClockGuard,
        wake: asyncio.Event,
    ) -> None:
        """Set `wake` when a claim is needed. Nothing is handed over while it is set."""
        self._context = context
        self._lanes = lanes
        self._flows = flows
        self._attempts = attempts
        self._pauses = pauses
        self._clock_guard = clock_guard
        self._wake = wake
        self._idle: IdleState | None = None
        self._storing = 0
        """Messages with entries for a claim that are being stored. Later mail must not overtake them."""

    def begin_idle(self, idle: IdleState) -> None:
        """Begin to hand over: the runner waits."""
        self._idle = idle

    def end_idle(self) -> None:
        """Hand nothing over from now on: the runner claims."""
        self._idle = None

    def attempt_ended(self, lane: str) -> None:
        """Call for a claim if the capacity that became free is needed. Each share of a flow grows with it."""
        idle = self._idle
        if idle is None or idle.flows or not idle.is_clear(LaneFlow(lane)):
            self._wake.set()

    async def enqueue(self, accepted: NewMessage) -> None:
        """Store a new message. Raises StoreError.

        Attempts begin at the next turn of the event loop: the caller has published the events of the message by then.
        """
        offset = self._clock_guard.offset()
        batches = self.reserve(accepted)
        new = with_active(accepted, batches)
        needs_claim = any(entry.state is State.WAITING for entry in new.entries)
        self._storing += needs_claim
        try:
            is_leased = await self._context.store.enqueue(new)
        except BaseException:
            for batch in batches:
                self._attempts.release(batch)
            self._wake.set()
            raise
        finally:
            self._storing -= needs_claim

        for batch in batches:
            if is_leased:
                self._attempts.start(batch, offset)
            else:
                self._attempts.release(batch)
        if needs_claim or not is_leased:
            self._wake.set()

    def reserve(self, accepted: NewMessage) -> Sequence[ClaimedBatch]:
        """Return the entries of a new message that need no claim, by lane, and count them as in flight."""
        now, idle = self._context.clock(), self._idle
        if idle is None or now >= idle.until or self._wake.is_set() or self._storing:
            return ()
        if len(accepted.content) > LARGE or not self._context.store.can_lease:
            return ()

        due: dict[LaneFlow, list[Entry]] = {}
        for entry in accepted.entries:
            if entry.state is State.WAITING and entry.next_attempt_at <= now:
                due.setdefault(entry.lane_flow, []).append(entry)

        batches: list[ClaimedBatch] = []
        for waiting, entries in due.items():
            if idle.is_clear(waiting) and self._fits(waiting, accepted, entries, now):
                active = tuple(move(entry, State.ACTIVE) for entry in entries)
                batches.append(ClaimedBatch(accepted.message, accepted.content, active))
                self._attempts.reserve(batches[-1])
        return batches

    def _fits(self, waiting: LaneFlow, accepted: NewMessage, entries: Sequence[Entry], now: float) -> bool:
        """Whether a claim with nothing else due would take these entries, and they could leave."""
        rates, is_several = self._context.rates, len(entries) > 1 and accepted.message.policy.is_per_recipient
        needed = len(entries) if is_several else 1
        return (
            len(entries) <= min(self._attempts.entries_left, MAX_RECIPIENTS)
            and len(accepted.content) <= self._attempts.content_left
            and self._lanes.capacity_of(waiting.lane, now) >= needed
            and self._flows.capacity_of(waiting.flow) > 0
            and self._lanes.failure(waiting.lane, now) is None
            and not rates.is_limited(waiting.lane)
            and not any(self._pauses.hold_of(accepted.message, entry) for entry in entries)
        )


def with_active(accepted: NewMessage, batches: Sequence[ClaimedBatch]) -> NewMessage:
    """Return the message with the entries of the batches in their place."""
    if len(batches) == 1 and len(batches[0].entries) == len(accepted.entries):
        return replace(accepted, entries=batches[0].entries)
    active = {entry.number: entry for batch in batches for entry in batch.entries}
    if not active:
        return accepted
    return replace(accepted, entries=tuple(active.get(entry.number, entry) for entry in accepted.entries))

"""One attempt for claimed entries: prepare, render and deliver, feedback, settle, apply."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from relay.queue.bounce_policy import Classified
from relay.queue.clock_guard import ClockGuard
from relay.queue.context import INTERNAL_ERROR, ErrorBoundary, QueueContext, retry_store
from relay.queue.damage import hold_damaged
from relay.queue.dispatch import Dispatcher, Selection
from relay.queue.entry import State, move
from relay.queue.lane_feedback import LaneFeedback
from relay.queue.lanes import LaneTable
from relay.queue.message import ClaimedBatch, Settlement
from relay.queue.outcome import Deferred, Delivered, Outcome
from relay.queue.settler import Settler
from relay.queue.shared_pauses import SharedPauses
from relay.queue.site_traffic import Permit
from relay.queue.transmitter import Transmitter


class AttemptRunner:
    """Runs the attempts of one process."""

    def __init__(
        self,
        context: QueueContext,
        lanes: LaneTable,
        pauses: SharedPauses,
        transmitter: Transmitter,
        clock_guard: ClockGuard,
        wake: Callable[[], None],
    ) -> None:
        """Call `wake` when an attempt has put entries into the queue, and when the clock was set."""
        self._context = context
        self._lanes = lanes
        self._pauses = pauses
        self._transmitter = transmitter
        self._wake = wake
        self._settler = Settler(context)
        self._clock_guard = clock_guard
        self._dispatcher = Dispatcher(context, lanes, pauses)
        self._feedback = LaneFeedback(context, lanes, pauses)

    async def run(self, claimed: ClaimedBatch, offset: float) -> None:
        """Make one attempt for entries of one message in one lane, and settle it. `offset` is that of their times."""
        if claimed.damage:
            await self._apply(hold_damaged(claimed, self._context.clock()))
            return

        selection = await self._prepare(claimed)
        if selection.settlement.entries:
            await self._apply(selection.settlement)

        if selection.claimed.entries:
            split, lane = transactions(selection.claimed), selection.claimed.entries[0].lane
            permit = self._context.rates.permit(lane, len(split), self._context.clock())
            if len(split) == 1:
                await self._transact(split[0], selection.answer, offset, permit)
            else:
                await asyncio.gather(*(self._transact(one, selection.answer, offset, permit) for one in split))

    async def check_clock(self) -> None:
        """Move waiting times and pauses by the step of the clock since the last check. Raises StoreError."""
        step = await self._clock_guard.check(self._settler.schedule())
        if step:
            self._lanes.clock_set(step)
            self._context.rates.clock_set(step)
            self._wake()

    async def _prepare(self, claimed: ClaimedBatch) -> Selection:
        """Return the entries to send now. An exception defers all of them."""
        now = self._context.clock()
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            return await self._dispatcher.prepare(claimed)
        classified = self._classify(claimed, [INTERNAL_ERROR] * len(claimed.entries))
        return Selection(replace(claimed, entries=()), self._settler.settle(claimed, classified, now, now, {}))

    async def _transact(
        self, claimed: ClaimedBatch, answer: Deferred | None, offset: float, permit: Permit | None
    ) -> None:
        """Deliver the entries of one transaction, apply the outcomes to the lane, and settle them.

        Entries return to the queue whose site accepts no message now, or whose lease ended.
        """
        started_at = self._context.clock()
        notes: dict[str, object] = {}
        failure = answer or self._lanes.failure(claimed.entries[0].lane, started_at)
        if failure is not None:
            classified = self._classify(claimed, [failure] * len(claimed.entries))
        else:
            outcomes = await self._transmitter.transmit(claimed, notes, permit)
            if isinstance(outcomes, str):
                await self._apply(hold_damaged(replace(claimed, damage=outcomes), self._context.clock()))
                return
            if not outcomes:
                await self._apply(await self._given_back(claimed))
                return
            classified = self._record_deliveries(claimed, outcomes, started_at)
            if not classified:
                classified = await self._apply_outcomes(claimed, outcomes, started_at)

        if not self._clock_guard.is_steady():
            await retry_store(self._context, self.check_clock)
        claimed = self._clock_guard.adjust_lifetime(claimed, offset, self._settler.schedule())
        now = self._context.clock()
        settlement = self._settler.settle_delivery(claimed, classified, started_at, now, notes)
        if settlement is not None:
            await self._settler.apply(settlement)
            return
        settlement = await self._settler.settle_proven(claimed, classified, started_at, now, notes)
        if not settlement.is_delivery:
            settlement = await self._reroute(claimed, classified, settlement)
        await self._apply(settlement)

    def _record_deliveries(
        self, claimed: ClaimedBatch, outcomes: Sequence[Outcome], started_at: float
    ) -> Sequence[Classified]:
        """Apply deliveries, which need no classification, to the lane; nothing if one outcome is another."""
        delivered = [Classified(outcome) for outcome in outcomes if isinstance(outcome, Delivered)]
        if len(delivered) < len(outcomes):
            return ()
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            self._feedback.record_deliveries(claimed.entries[0].lane, started_at)
        return delivered

    async def _apply_outcomes(
        self, claimed: ClaimedBatch, outcomes: Sequence[Outcome], started_at: float
    ) -> Sequence[Classified]:
        """Classify the outcomes, and apply them to the lane."""
        classified = self._give_feedback(claimed, self._classify(claimed, outcomes), started_at)
        await self._pauses.save()
        return classified

    async def _given_back(self, claimed: ClaimedBatch) -> Settlement:
        """Return the settlement by which entries wait as before. Another node may have them, with their slots."""
        if self._context.store.holds(claimed.entries):
            return await self._dispatcher.give_back(claimed)
        return Settlement(tuple(move(entry, State.WAITING) for entry in claimed.entries))

    def _classify(self, claimed: ClaimedBatch, outcomes: Sequence[Outcome]) -> Sequence[Classified]:
        """Classify the replies, once for all later steps. The meaning is None when that raises."""
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            return self._context.bounce_policy().classify_all(outcomes, claimed.entries[0].lane, claimed.addresses)
        return [Classified(outcome) for outcome in outcomes]

    def _give_feedback(
        self, claimed: ClaimedBatch, classified: Sequence[Classified], started_at: float
    ) -> Sequence[Classified]:
        """Apply the outcomes to the lane. Return them, with refusals that may concern our account as deferrals."""
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            recorded = self._feedback.record(claimed.entries[0].lane, claimed.entries, classified, started_at)
            return self._dispatcher.defer_to_fallback(claimed, recorded)
        outcomes = [one.outcome if isinstance(one.outcome, Delivered) else INTERNAL_ERROR for one in classified]
        return self._classify(claimed, outcomes)

    async def _reroute(
        self, claimed: ClaimedBatch, classified: Sequence[Classified], settlement: Settlement
    ) -> Settlement:
        """Return the settlement with entries routed to a fallback; unchanged where that raises."""
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            return await self._dispatcher.after_attempt(claimed, classified, settlement)
        return settlement

    async def _apply(self, settlement: Settlement) -> None:
        await self._settler.apply(settlement)
        # Notifications are new entries in the queue, and waiting entries have a new due time.
        if settlement.dsns or any(entry.state is State.WAITING for entry in settlement.entries):
            self._wake()


def transactions(claimed: ClaimedBatch) -> list[ClaimedBatch]:
    """Split a claim into mail transactions: one per recipient where the bytes differ, else one for all."""
    if len(claimed.entries) > 1 and claimed.message.policy.is_per_recipient:
        return [replace(claimed, entries=(entry,)) for entry in claimed.entries]
    return [claimed]

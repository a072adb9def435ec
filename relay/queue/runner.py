"""The queue runner claims due entries and makes attempts: prepare, render and deliver, feedback, settle, apply."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path

from relay.events.ports import StoreError
from relay.limits.shares import Shares
from relay.queue.bounce_policy import Judged
from relay.queue.clock_guard import ClockGuard
from relay.queue.context import INTERNAL_ERROR, ErrorBoundary, QueueContext, pause_after, retry_store
from relay.queue.damage import hold_damaged
from relay.queue.dispatch import Dispatcher, Selection
from relay.queue.flow_table import FlowTable
from relay.queue.lane_feedback import LaneFeedback
from relay.queue.lanes import LaneTable
from relay.queue.message import ClaimedBatch, Settlement
from relay.queue.nodes import NodeConnections
from relay.queue.outcome import Deferred, Delivered, Outcome
from relay.queue.ports import ClaimLimits
from relay.queue.settler import Settler
from relay.queue.shared_pauses import SharedPauses
from relay.queue.shared_rates import SharedRates
from relay.queue.site_limits import Permit
from relay.queue.transmitter import Transmitter

MAX_ENTRIES = 2000
"""Entries in flight in one process, shared out among the accountable parties."""

MAX_RESERVED = 2000
"""Entries in flight beyond these, of parties that have few: the others hold all of them."""

MAX_CONTENT = 64 * 1024 * 1024
"""Octets of contents and renderings in memory. Beyond it contents are read into files, when their turn comes."""

MAX_IDLE = 5.0
"""Seconds between two claims, at most."""


class Runner:
    """Runs the queue of one process."""

    def __init__(self, context: QueueContext, wake: asyncio.Event, folder: Path) -> None:
        """Claim when `wake` is set, and when an entry is due. `folder` holds the files of large contents."""
        self._context = context
        self._transmitter = Transmitter(context, folder)
        self._settler = Settler(context)
        self._clock_guard = ClockGuard(context)
        self._wake = wake
        self._lanes = LaneTable(max_concurrency=self._max_concurrency())
        self._flows = FlowTable(Shares(MAX_ENTRIES))
        self.shared_pauses = SharedPauses(context, self._lanes, self.wake)
        self.shared_rates = SharedRates(context)
        self._dispatcher = Dispatcher(context, self._lanes, self.shared_pauses)
        self._feedback = LaneFeedback(context, self._lanes, self.shared_pauses)
        self._attempts: set[asyncio.Task[None]] = set()
        self._entries = 0
        self._content = 0
        self._stopping = False
        self._claiming: asyncio.Future[Sequence[ClaimedBatch]] | None = None
        self._ended = asyncio.Event()
        self._ended.set()

    def wake(self) -> None:
        """Claim now: entries were enqueued or released, or an attempt ended."""
        self._wake.set()

    @property
    def lanes(self) -> LaneTable:
        """The lanes in use."""
        return self._lanes

    async def run(self) -> None:
        """Claim and attempt until `stop`. `Settler.recover` must come first."""
        self._ended.clear()
        try:
            while not self._stopping:
                self._wake.clear()
                claimed = await self._claim_unless_stopped()
                for one in claimed:
                    self._start(one)
                if not claimed:
                    await self._wait_for_work()
        finally:
            self._ended.set()

    async def stop(self, grace: float) -> None:
        """Stop claiming, and wait for the attempts in flight. After `grace` seconds cancel them for the next start."""
        self._stopping = True
        self.wake()
        deadline = asyncio.get_running_loop().time() + grace

        # A claim that is running must end first: it puts further entries in flight. A cancelled one gives them back.
        ended = asyncio.ensure_future(self._ended.wait())
        await asyncio.wait([ended], timeout=grace)
        if self._claiming is not None:
            self._claiming.cancel()
        ended.cancel()

        if self._attempts:
            left = max(deadline - asyncio.get_running_loop().time(), 0.0)
            _, late = await asyncio.wait(self._attempts, timeout=left)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _max_concurrency(self) -> int:
        settings = self._context.settings()
        connections = [settings.delivery.connections_per_lane, *(one.connections for one in settings.providers)]
        return max(20, 2 * max(connections))

    def _connections(self) -> NodeConnections:
        settings = self._context.settings()
        return NodeConnections(
            share=self._context.nodes.share,
            per_lane=settings.delivery.connections_per_lane,
            providers={one.name: one.connections for one in settings.providers},
        )

    async def _claim_unless_stopped(self) -> Sequence[ClaimedBatch]:
        """Claim; nothing if `stop` gives the claim up: the store returns what it leased to the queue."""
        self._claiming = asyncio.ensure_future(self._claim())
        try:
            return await self._claiming
        except asyncio.CancelledError:
            if not (self._stopping and self._claiming.cancelled()):
                self._claiming.cancel()
                raise
            return ()
        finally:
            self._claiming = None

    async def _claim(self) -> Sequence[ClaimedBatch]:
        try:
            self._clock_set(await self._clock_guard.check(self._settler.schedule()))
        except StoreError as error:
            await pause_after(self._context, error)
            return ()

        now = self._context.clock()
        self._lanes.max_concurrency = self._max_concurrency()
        limits = ClaimLimits(
            entries=MAX_ENTRIES + MAX_RESERVED - self._entries,
            content_bytes=max(0, MAX_CONTENT - self._content - self._transmitter.in_memory),
            per_lane=self._lanes.initial_capacity(),
            lanes=self._lanes.capacity(now),
            flows=self._flows.capacity(),
            per_flow=self._flows.initial_capacity(),
            connections=self._connections(),
            sites=self._context.rates.claim_limits(now),
        )
        if limits.entries <= 0:
            return ()

        try:
            return await self._context.store.claim(now, limits)
        except StoreError as error:
            await pause_after(self._context, error)
            return ()

    def _clock_set(self, step: float) -> None:
        self._lanes.clock_set(step)
        self._context.rates.clock_set(step)

    async def _wait_for_work(self) -> None:
        """Wait until an entry is due, or until `wake`."""
        now = self._context.clock()
        self._lanes.forget_idle(now)
        rates = self._context.rates
        rates.forget_idle(now)
        full = [name for name, free in self._lanes.capacity(now).items() if not free] + rates.waiting_lanes(now)
        try:
            due = await self._context.store.next_due(full, self._flows.full(), self._connections())
        except StoreError as error:
            await pause_after(self._context, error)
            return

        due = min((at for at in (due, rates.next_release(now)) if at is not None), default=None)
        wait = MAX_IDLE if due is None else min(max(due - now, 0.0), MAX_IDLE)
        if self._entries >= MAX_ENTRIES + MAX_RESERVED:
            # Only the end of an attempt, which calls `wake`, makes a claim possible.
            wait = MAX_IDLE
        try:
            async with asyncio.timeout(max(wait, 0.001)):
                await self._wake.wait()
        except TimeoutError:
            return

    def _start(self, claimed: ClaimedBatch) -> None:
        lane, flow, entries = claimed.entries[0].lane, claimed.entries[0].flow, len(claimed.entries)
        size = len(claimed.content) if isinstance(claimed.content, bytes) else 0
        self._lanes.start(lane, entries)
        self._flows.start(flow, entries)
        self._entries += entries
        self._content += size

        task = asyncio.create_task(self._attempt(claimed))
        self._attempts.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self._attempts.discard(done)
            self._lanes.finish(lane, entries)
            self._flows.finish(flow, entries)
            self._entries -= entries
            self._content -= size
            if not done.cancelled() and (error := done.exception()) is not None:
                self._context.watch.unexpected(claimed.message.queue_id, error)
            self.wake()

        task.add_done_callback(ended)

    async def _attempt(self, claimed: ClaimedBatch) -> None:
        """Make one attempt for entries of one message in one lane, and settle it."""
        offset = self._clock_guard.offset()
        if claimed.damage:
            await self._apply(hold_damaged(claimed, self._context.clock()))
            return

        selection = await self._prepare(claimed)
        if selection.settlement.entries:
            await self._apply(selection.settlement)

        if selection.claimed.entries:
            split, lane = transactions(selection.claimed), selection.claimed.entries[0].lane
            permit = self._context.rates.permit(lane, len(split), self._context.clock())
            await _run_all([self._transact(one, selection.answer, offset, permit) for one in split])

    async def _prepare(self, claimed: ClaimedBatch) -> Selection:
        """Return the entries to send now. An exception defers all of them."""
        now = self._context.clock()
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            return await self._dispatcher.prepare(claimed)
        judged = self._judge(claimed, [INTERNAL_ERROR] * len(claimed.entries))
        return Selection(replace(claimed, entries=()), self._settler.settle(claimed, judged, now, now, {}))

    async def _transact(
        self, claimed: ClaimedBatch, answer: Deferred | None, offset: float, permit: Permit | None
    ) -> None:
        """Deliver the entries of one transaction, apply the outcomes to the lane, and settle them.

        Entries whose site accepts no message now return to the queue.
        """
        started_at = self._context.clock()
        notes: dict[str, object] = {}
        failure = answer or self._lanes.failure(claimed.entries[0].lane, started_at)
        if failure is not None:
            judged = self._judge(claimed, [failure] * len(claimed.entries))
        else:
            outcomes = await self._transmitter.transmit(claimed, notes, permit)
            if isinstance(outcomes, str):
                await self._apply(hold_damaged(replace(claimed, damage=outcomes), self._context.clock()))
                return
            if not outcomes:
                await self._apply(await self._dispatcher.give_back(claimed))
                return
            judged = self._judge(claimed, outcomes)
            judged = self._give_feedback(claimed, judged, started_at)
            await self.shared_pauses.save()

        current = await self._with_lifetime(claimed, offset)
        settlement = await self._settler.settle_proven(current, judged, started_at, self._context.clock(), notes)
        await self._apply(await self._reroute(claimed, judged, settlement))

    def _judge(self, claimed: ClaimedBatch, outcomes: Sequence[Outcome]) -> Sequence[Judged]:
        """Classify the replies, once for all later steps. The meaning is None when that raises."""
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            return self._context.bounce_policy().judge_all(outcomes, claimed.entries[0].lane, claimed.parties)
        return [Judged(outcome) for outcome in outcomes]

    def _give_feedback(self, claimed: ClaimedBatch, judged: Sequence[Judged], started_at: float) -> Sequence[Judged]:
        """Apply the outcomes to the lane. Return them, with refusals that may concern our account as deferrals."""
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            recorded = self._feedback.record(claimed.entries[0].lane, claimed.entries, judged, started_at)
            return self._dispatcher.defer_to_fallback(claimed, recorded)
        outcomes = [one.outcome if isinstance(one.outcome, Delivered) else INTERNAL_ERROR for one in judged]
        return self._judge(claimed, outcomes)

    async def _reroute(self, claimed: ClaimedBatch, judged: Sequence[Judged], settlement: Settlement) -> Settlement:
        """Return the settlement with entries routed to a fallback; unchanged where that raises."""
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            return await self._dispatcher.after_attempt(claimed, judged, settlement)
        return settlement

    async def _with_lifetime(self, claimed: ClaimedBatch, offset: float) -> ClaimedBatch:
        """Return the entries with their expiry adjusted to steps of the clock since the attempt began."""
        schedule = self._settler.schedule()
        step = await retry_store(self._context, lambda: self._clock_guard.check(schedule))
        self._clock_set(step)
        return self._clock_guard.adjust_lifetime(claimed, offset, schedule)

    async def _apply(self, settlement: Settlement) -> None:
        await self._settler.apply(settlement)
        # Notifications are new entries in the queue.
        if settlement.dsns:
            self.wake()


def transactions(claimed: ClaimedBatch) -> list[ClaimedBatch]:
    """Split a claim into mail transactions: one per recipient where the bytes differ, else one for all."""
    if claimed.message.policy.is_per_recipient:
        return [replace(claimed, entries=(entry,)) for entry in claimed.entries]
    return [claimed]


async def _run_all(attempts: list[Coroutine[None, None, None]]) -> None:
    """Run the transactions concurrently. Most messages have one, which needs no task of its own."""
    if len(attempts) == 1:
        await attempts[0]
    else:
        await asyncio.gather(*attempts)

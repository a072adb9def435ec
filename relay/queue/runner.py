"""The queue runner claims due entries, and begins their attempts.

New messages need no claim while nothing else is due (`relay/queue/hand_over.py`).
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from relay.events.ports import StoreError
from relay.limits.shares import Shares
from relay.queue.attempt import AttemptRunner
from relay.queue.claim_limits import ClaimLimits
from relay.queue.clock_guard import ClockGuard
from relay.queue.context import QueueContext, pause_after
from relay.queue.hand_over import HandOver, IdleState
from relay.queue.in_flight import MAX_ENTRIES, AttemptTable, FlowTable
from relay.queue.lanes import LaneTable
from relay.queue.message import ClaimedBatch, NewMessage
from relay.queue.nodes import NodeConnections
from relay.queue.shared_pauses import SharedPauses
from relay.queue.shared_rates import SharedRates
from relay.queue.transmitter import Transmitter

MAX_IDLE = 5.0
"""Seconds between two claims, at most."""

Claim = tuple[Sequence[ClaimedBatch], float]
"""What was claimed, and the offset of the clocks before (`ClockGuard.offset`)."""

NOTHING: Claim = ((), 0.0)
"""A claim that found nothing."""


class Runner:
    """Runs the queue of one process."""

    def __init__(self, context: QueueContext, wake: asyncio.Event, folder: Path) -> None:
        """Claim when `wake` is set, and when an entry is due. `folder` holds the files of large contents."""
        self._context = context
        self._wake = wake
        self._lanes = LaneTable(max_concurrency=self._max_concurrency())
        self._flows = FlowTable(Shares(MAX_ENTRIES))
        self.shared_pauses = SharedPauses(context, self._lanes, self.wake)
        self.shared_rates = SharedRates(context)
        transmitter = Transmitter(context, folder)
        self._clock_guard = ClockGuard(context)
        self._attempt = AttemptRunner(
            context, self._lanes, self.shared_pauses, transmitter, self._clock_guard, self.wake
        )
        self._attempts = AttemptTable(
            self._lanes, self._flows, transmitter, context.watch, self._attempt.run, self._attempt_ended
        )
        self._hand_over = HandOver(
            context, self._lanes, self._flows, self._attempts, self.shared_pauses, self._clock_guard, wake
        )
        self._stopping = False
        self._claiming: asyncio.Future[Claim] | None = None
        self._ended = asyncio.Event()
        self._ended.set()

    def wake(self) -> None:
        """Claim now: entries were enqueued or released."""
        self._wake.set()

    @property
    def lanes(self) -> LaneTable:
        """The lanes in use."""
        return self._lanes

    async def enqueue(self, accepted: NewMessage) -> None:
        """Store a new message, and have it attempted. Raises StoreError."""
        await self._hand_over.enqueue(accepted)

    async def run(self) -> None:
        """Claim and attempt until `stop`. `Settler.recover` must come first."""
        self._ended.clear()
        try:
            while not self._stopping:
                self._wake.clear()
                claimed, offset = await self._claim_unless_stopped()
                for one in claimed:
                    self._attempts.reserve(one)
                    self._attempts.start(one, offset)
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

        await self._attempts.finish(max(deadline - asyncio.get_running_loop().time(), 0.0))

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

    async def _claim_unless_stopped(self) -> Claim:
        """Claim; nothing if `stop` gives the claim up: the store returns what it leased to the queue."""
        self._claiming = asyncio.ensure_future(self._claim())
        try:
            return await self._claiming
        except asyncio.CancelledError:
            if not (self._stopping and self._claiming.cancelled()):
                self._claiming.cancel()
                raise
            return NOTHING
        finally:
            self._claiming = None

    async def _claim(self) -> Claim:
        try:
            await self._attempt.check_clock()
        except StoreError as error:
            await pause_after(self._context, error)
            return NOTHING

        now, offset = self._context.clock(), self._clock_guard.offset()
        self._lanes.max_concurrency = self._max_concurrency()
        limits = self._limits(now)
        if limits.entries <= 0:
            return NOTHING

        try:
            return await self._context.store.claim(now, limits), offset
        except StoreError as error:
            await pause_after(self._context, error)
            return NOTHING

    def _limits(self, now: float) -> ClaimLimits:
        return ClaimLimits(
            entries=self._attempts.entries_left,
            content_bytes=self._attempts.content_left,
            per_lane=self._lanes.initial_capacity(),
            lanes=self._lanes.capacity(now),
            holders=self._lanes.holders(now),
            flows=self._flows.capacity(),
            per_flow=self._flows.initial_capacity(),
            connections=self._connections(),
            sites=self._context.rates.claim_limits(now),
        )

    async def _wait_for_work(self) -> None:
        """Wait until an entry is due, or until `wake`. Meanwhile new messages are handed over."""
        now, rates = self._context.clock(), self._context.rates
        self._lanes.forget_idle(now)
        rates.forget_idle(now)
        full = [name for name, free in self._lanes.capacity(now).items() if not free]
        waiting, holders = rates.waiting_lanes(now), self._lanes.holders(now)
        busy = {*(name for name in full if name not in holders), *waiting}
        flows, connections = self._flows.full(), self._connections()
        try:
            due = await self._context.store.next_due(busy, flows, connections, holders)
        except StoreError as error:
            await pause_after(self._context, error)
            return

        due = min((at for at in (due, rates.next_release(now)) if at is not None), default=None)
        wait = MAX_IDLE if due is None else min(max(due - now, 0.0), MAX_IDLE)
        if self._attempts.entries_left <= 0:
            # Only the end of an attempt, which calls for a claim, makes one possible.
            wait = MAX_IDLE
        elif wait > 0:
            self._hand_over.begin_idle(IdleState(now + wait, frozenset((*full, *waiting)), flows, connections))
        await self._rest(max(wait, 0.001))

    async def _rest(self, seconds: float) -> None:
        """Wait for `wake`, at most that long."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._hand_over.end_idle()

    def _attempt_ended(self, lane: str) -> None:
        self._hand_over.attempt_ended(lane)

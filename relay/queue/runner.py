"""The loop; splits claims into transactions."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace

from relay.queue.clock_guard import ClockGuard
from relay.queue.context import INTERNAL_ERROR, STORE_RETRY, ErrorBoundary, QueueContext
from relay.queue.dispatch import Dispatcher, Selection
from relay.queue.entry import Entry
from relay.queue.exclusion_check import drop_excluded
from relay.queue.lane_feedback import LaneFeedback
from relay.queue.lanes import LaneTable
from relay.queue.message import ClaimedBatch, Message, Settlement
from relay.queue.outcome import Deferred, Delivered, Outcome
from relay.queue.ports import ClaimLimits, DeliveryJob, JournalRecord, Rendered, StoreError
from relay.queue.routing import LanePause
from relay.queue.settler import Settler
from relay.render.render import RenderInput, is_per_recipient


def stored_form(message: Message, content: bytes) -> RenderInput:
    """Return what rendering needs of the message."""
    policy = message.policy
    return RenderInput(
        queue_id=message.queue_id,
        created_at=message.created_at,
        reverse_path=message.reverse_path,
        content=content,
        added_fields=policy.added_fields,
        domain=policy.domain,
        tracking=policy.tracking,
        return_path=policy.return_path,
        author_name=policy.author_name,
        reply_domain=policy.reply_domain,
        copies=policy.copies,
        forward_domain=policy.forward_domain,
        list_unsubscribe=policy.list_unsubscribe,
    )


def transactions(claimed: ClaimedBatch) -> list[ClaimedBatch]:
    """Split into the transactions to make: one for each recipient where bytes differ, else one for all."""
    if is_per_recipient(stored_form(claimed.message, b"")):
        return [replace(claimed, entries=(entry,)) for entry in claimed.entries]
    return [claimed]


ENTRIES_UNDER_WAY = 2000


CONTENT_UNDER_WAY = 64 * 1024 * 1024
"""Bounds of what one process works on at a time: entries, and octets of their contents."""


LONGEST_REST = 5.0
"""Seconds: the longest wait between two looks at the queue."""


class Runner:
    """Drives the queue until it is stopped."""

    def __init__(self, tools: QueueContext) -> None:
        self._tools = tools
        self._settler = Settler(tools)
        self._timekeeper = ClockGuard(tools)
        self._lanes = LaneTable(max_concurrency=self._widest())
        self._departures = Dispatcher(tools, self._lanes)
        self._conduct = LaneFeedback(tools, self._lanes)
        self._attempts: set[asyncio.Task[None]] = set()
        self._entries = 0
        self._content = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._over = asyncio.Event()
        self._over.set()

    def wake(self) -> None:
        """Look at the queue now: something was enqueued, released or finished."""
        self._wake.set()

    async def run(self) -> None:
        """Claim and attempt until `stop`; `Settler.recover` must have dealt with what earlier processes left."""
        self._over.clear()
        try:
            while not self._stopping:
                self._wake.clear()
                claimed = await self._claim()
                for one in claimed:
                    self._start(one)
                if not claimed:
                    await self._rest()
        finally:
            self._over.set()

    async def stop(self, grace: float) -> None:
        """Claim nothing more and let the attempts in hand end; after `grace` seconds leave them to the next start."""
        self._stopping = True
        self.wake()
        deadline = asyncio.get_running_loop().time() + grace
        # What is being claimed at this moment comes under way first, and counts.
        await asyncio.wait([over := asyncio.ensure_future(self._over.wait())], timeout=grace)
        over.cancel()
        if self._attempts:
            left = max(deadline - asyncio.get_running_loop().time(), 0.0)
            _, late = await asyncio.wait(self._attempts, timeout=left)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _widest(self) -> int:
        settings = self._tools.settings()
        connections = [settings.delivery.connections_per_lane, *(one.connections for one in settings.providers)]
        return max(20, 2 * max(connections))

    async def _claim(self) -> Sequence[ClaimedBatch]:
        try:
            self._lanes.clock_set(await self._timekeeper.check(self._settler.schedule()))
        except StoreError as error:
            await self._trouble(error)
            return ()
        now = self._tools.clock()
        self._lanes.max_concurrency = self._widest()
        room = ClaimLimits(
            entries=ENTRIES_UNDER_WAY - self._entries,
            content_bytes=CONTENT_UNDER_WAY - self._content,
            per_lane=self._lanes.initial_capacity(),
            lanes=self._lanes.capacity(now),
        )
        if room.entries <= 0 or room.content_bytes <= 0:
            return ()
        try:
            return await self._tools.store.claim(now, room)
        except StoreError as error:
            await self._trouble(error)
            return ()

    async def _rest(self) -> None:
        now = self._tools.clock()
        self._lanes.forget_idle(now)
        full = [name for name, free in self._lanes.capacity(now).items() if not free]
        try:
            due = await self._tools.store.next_due(full)
        except StoreError as error:
            await self._trouble(error)
            return
        wait = LONGEST_REST if due is None else min(max(due - now, 0.0), LONGEST_REST)
        if self._entries >= ENTRIES_UNDER_WAY or self._content >= CONTENT_UNDER_WAY:
            wait = LONGEST_REST
        try:
            await asyncio.wait_for(self._wake.wait(), max(wait, 0.001))
        except TimeoutError:
            return

    def _start(self, claimed: ClaimedBatch) -> None:
        lane, entries, size = claimed.entries[0].lane, len(claimed.entries), len(claimed.content)
        self._lanes.start(lane, entries)
        self._entries += entries
        self._content += size
        task = asyncio.create_task(self._attempt(claimed))
        self._attempts.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self._attempts.discard(done)
            self._lanes.finish(lane, entries)
            self._entries -= entries
            self._content -= size
            if not done.cancelled() and (error := done.exception()) is not None:
                self._tools.watch.unexpected(claimed.message.queue_id, error)
            self.wake()

        task.add_done_callback(ended)

    async def _attempt(self, claimed: ClaimedBatch) -> None:
        """Make one attempt for entries of one message in one lane, and settle it."""
        apart = self._timekeeper.offset()
        leaving, staying = await self._look_over(claimed)
        if staying.entries:
            await self._apply(staying)
        if leaving.claimed.entries:
            await _together([self._attempt_job(job, leaving.answer, apart) for job in transactions(leaving.claimed)])

    async def _look_over(self, claimed: ClaimedBatch) -> tuple[Selection, Settlement]:
        """Return what leaves now, and what becomes of the rest; whatever is raised defers all of it."""
        now = self._tools.clock()
        with ErrorBoundary(self._tools.watch, claimed.message.queue_id):
            wanted, dropped = await drop_excluded(self._tools, claimed)
            leaving = await self._departures.select(wanted) if wanted.entries else Selection(wanted)
            return leaving, replace(dropped, entries=dropped.entries + leaving.waiting)
        outcomes = [INTERNAL_ERROR] * len(claimed.entries)
        return Selection(replace(claimed, entries=())), self._settler.settle(claimed, outcomes, now, now, {})

    async def _attempt_job(self, claimed: ClaimedBatch, answer: Deferred | None, apart: float) -> None:
        started_at = self._tools.clock()
        notes: dict[str, object] = {}
        lane = claimed.entries[0].lane
        failure = answer or self._lanes.failure(lane, started_at)
        outcomes: Sequence[Outcome]
        if failure is not None:
            outcomes = [failure] * len(claimed.entries)
        else:
            outcomes = await self._deliver(lane, claimed, started_at, notes)
        aged = await self._aged(claimed, apart)
        settlement = self._settler.settle(aged, outcomes, started_at, self._tools.clock(), notes)
        await self._apply(await self._sent_on(claimed, outcomes, settlement))

    async def _sent_on(self, claimed: ClaimedBatch, outcomes: Sequence[Outcome], settlement: Settlement) -> Settlement:
        """Return the settlement with what goes on by another way; without, where finding that out raises."""
        with ErrorBoundary(self._tools.watch, claimed.message.queue_id):
            return await self._departures.after_attempt(claimed, outcomes, settlement)
        return settlement

    async def _deliver(
        self, lane: str, claimed: ClaimedBatch, started_at: float, notes: dict[str, object]
    ) -> Sequence[Outcome]:
        """Deliver and learn from it; whatever is raised defers what was not taken before: the unknown is temporary."""
        taken: dict[int, Outcome] = {}

        def took(entries: Sequence[Entry], outcome: Delivered) -> None:
            self._note(entries, outcome)
            taken.update((entry.number, outcome) for entry in entries)

        job = DeliveryJob(claimed.message, claimed.entries, self._rendering(claimed, notes), took)
        with ErrorBoundary(self._tools.watch, claimed.message.queue_id):
            outcomes = await self._tools.delivery.deliver(lane, job)
            outcomes = self._conduct.record(lane, claimed.entries, outcomes, started_at)
            return self._departures.defer_to_fallback(claimed, outcomes)
        return [taken.get(entry.number, INTERNAL_ERROR) for entry in claimed.entries]

    def _rendering(self, claimed: ClaimedBatch, notes: dict[str, object]) -> Callable[[bool], Awaitable[Rendered]]:
        stored = stored_form(claimed.message, claimed.content)

        async def rendered(eight_bit: bool) -> Rendered:
            (rendering,) = await self._tools.renderer.render(stored, [claimed.entries[0].number], eight_bit=eight_bit)
            notes.update(rendering.notes)
            return Rendered(rendering.reverse_path, rendering.content)

        return rendered

    def pauses(self) -> Mapping[str, LanePause]:
        """Return the lanes that are down now, with the reason."""
        return self._lanes.pauses(self._tools.clock())

    def resume(self, lane: str) -> bool:
        """Lift the pause of a lane; tell whether there was one."""
        resumed = self._lanes.resume(lane)
        self.wake()
        return resumed

    async def _aged(self, claimed: ClaimedBatch, apart: float) -> ClaimedBatch:
        """Return what was claimed with the lifetime it still has, should somebody have set the clock meanwhile."""
        while True:
            try:
                self._lanes.clock_set(await self._timekeeper.check(self._settler.schedule()))
                return self._timekeeper.extend_lifetime(claimed, apart)
            except StoreError as error:
                await self._trouble(error)

    def _note(self, entries: Sequence[Entry], outcome: Delivered) -> None:
        """Remember what was just taken, for the case that this process ends before it is settled."""
        numbers = tuple(entry.number for entry in entries)
        self._tools.journal.record(JournalRecord(entries[0].queue_id, numbers, outcome, self._tools.clock()))

    async def _apply(self, settlement: Settlement) -> None:
        await self._settler.apply(settlement)
        if settlement.reports:
            self.wake()

    async def _trouble(self, error: StoreError) -> None:
        self._tools.watch.store_trouble(error)
        await asyncio.sleep(STORE_RETRY)


async def _together(jobs: list[Coroutine[None, None, None]]) -> None:
    """Run the jobs side by side; most messages have one, which needs no task of its own."""
    if len(jobs) == 1:
        await jobs[0]
    else:
        await asyncio.gather(*jobs)

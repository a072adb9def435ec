"""Accepts opens, clicks and unsubscribes without waiting and writes them to the store in batches.

An event leaves memory or the spool only after the next stage has stored it. After a crash the events of at most one
spool file are read again; the store recognises them by `data["id"]`. It loses only events that waited in memory.

| failure             | effect                                                                                   |
|---------------------|------------------------------------------------------------------------------------------|
| the store fails     | events go to the spool; every `retry` seconds the store is tried and the spool emptied   |
| the store is slow   | above `limit` waiting events all go to the spool                                         |
| a peak of events    | above `peak` waiting events all go to the spool (relay/events/peak.py)                   |
| disk space is short | opens and clicks are not kept (docs/tracking.md)                                           |
| a file is damaged   | its whole lines are stored, and it is kept as `*.damaged`; the files behind it are read  |
| an event is refused | the batch is split down to it; it is kept in `rejected.jsonl.damaged`, the others stored |
| the spool fails too | events wait in memory; above `limit` the oldest are dropped, counted and logged          |
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from relay.events.event import Event
from relay.events.event_line import encode_event
from relay.events.peak import SPOOL_PART, Peak
from relay.events.ports import EventStore, Publish
from relay.events.recorder import EventRecorder
from relay.events.shedding import Shedding
from relay.events.spool import Backlog, Spool, SpoolError
from relay.events.spool_reader import SpoolReader
from relay.log import Emit

CLOSING_TIME = 10.0
"""Seconds the store has to take waiting events at shutdown; the rest goes to the spool."""


def _to_library_log(line: str, **fields: object) -> None:
    logging.getLogger(__name__).warning("%s %s", line, fields)


class EventSink:
    """Makes events durable: in the store, or in the spool while the store fails.

    Without a store (a separate tracker host) events stay in the spool, in files that are closed every `retry` seconds
    and carried to the relay. `publish` is called once for each event: when the store has it, or without a store when
    the spool has it. `shedding` leaves out events while disk space is short. `gather` is the number of seconds that
    the first event of a batch waits for others; more than `peak` are a peak.
    """

    def __init__(
        self,
        store: EventStore | None,
        spool: Spool,
        publish: Publish,
        *,
        log: Emit = _to_library_log,
        limit: int = 10_000,
        batch: int = 500,
        peak: int = 500,
        gather: float = 0.05,
        retry: float = 5.0,
        shedding: Shedding | None = None,
    ) -> None:
        self._recorder = EventRecorder(store, spool, publish, log, retry)
        self._spool = spool
        self._publish = publish
        self._log = log
        self._limit = limit
        self._batch = batch
        self._peak = Peak(peak)
        self._gather = gather
        self._retry = retry
        self._shedding = shedding
        self._waiting: deque[Event] = deque()
        self._in_flight: Sequence[Event] = ()
        self._kept: list[Event] = []
        """Events in the spool that the store gets at once."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._spilling: asyncio.Task[bool] | None = None
        self._closing = False
        self._unspooled = 0
        self._spool_failing = False
        self._retry_spool_at = 0.0
        self._reader = SpoolReader(spool, log)
        self._dropped = 0

    @property
    def lost(self) -> int:
        """Events dropped since the start because neither store nor spool took them."""
        return self._dropped + self._recorder.lost

    @property
    def waiting(self) -> int:
        """Number of events in memory."""
        return len(self._waiting) + len(self._in_flight)

    @property
    def behind(self) -> bool:
        """Whether memory is half full. Callers that can wait should wait."""
        return len(self._waiting) > self._limit // 2

    @property
    def backlog(self) -> Backlog:
        """What the spool holds."""
        return self._spool.backlog

    @property
    def store_answers(self) -> bool:
        """False while the store fails, and when there is none."""
        return self._recorder.answers

    async def start(self) -> None:
        """Start writing, beginning with the spool of an earlier process. Raises SpoolError for an unusable folder."""
        await asyncio.to_thread(self._spool.recover)
        self._launch()

    def put(self, *events: Event) -> None:
        """Queue events. Neither waits nor raises."""
        if not events:
            return
        self._waiting.extend(events)
        self._wake.set()
        if len(self._waiting) > self._limit:
            self._overflow()

    async def keep(self, event: Event) -> bool:
        """Return True when the event is in the spool, so on disk. The store gets it soon, also at a peak.

        False when the spool fails; the event then waits in memory.
        """
        kept = await self._to_spool([event])
        if kept and self._recorder.has_store:
            self._kept.append(event)
        self._wake.set()
        return kept

    async def close(self) -> None:
        """Write waiting events, to the spool if the store is too slow, and stop."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=CLOSING_TIME)
            self._task.cancel()
            await asyncio.wait({self._task})

        if self._spilling is not None:
            await asyncio.wait({self._spilling})

        self._waiting.extendleft(reversed(self._in_flight))
        self._in_flight = ()
        if self._waiting and not await self._to_spool(self._take(len(self._waiting))):
            self._drop(len(self._waiting))
        await self._rotate()

    def _launch(self) -> None:
        self._task = asyncio.create_task(self._run(), name="event sink")
        self._task.add_done_callback(self._ended)

    async def _run(self) -> None:
        while not self._closing:
            await self._unspool()
            await self._wait_for_work()
            await self._write_waiting()
            if not self._recorder.has_store:
                await self._rotate()
        await self._write_waiting()

    async def _wait_for_work(self) -> None:
        """Return shortly after an event arrived, when the store is due for a retry, or after a peak."""
        until_over = self._peak.over_at - self._now()
        with suppress(TimeoutError):
            async with asyncio.timeout(until_over if 0 < until_over < self._retry else self._retry):
                await self._wake.wait()
                if not self._closing:
                    await asyncio.sleep(self._retry if self._spool_failing else self._gather)
        self._wake.clear()

    async def _write_waiting(self) -> None:
        """Write what waits: to the store, at a peak to the spool."""
        while self._waiting or self._kept:
            if self._kept:
                urgent, self._kept = self._kept, []
                await self._recorder.record(urgent, again=True)  # On failure the spool has them.
            is_peak = self._may_spool_peaks and self._peak.includes(len(self._waiting), self._now())
            self._in_flight = self._take(len(self._waiting) if is_peak else self._batch)
            self._in_flight = await self._affordable(self._in_flight)
            if not self._in_flight:
                continue
            kept = not is_peak and await self._recorder.record(self._in_flight)
            kept = kept or await self._to_spool(self._in_flight, is_new=is_peak)
            self._in_flight = ()
            if is_peak or not kept:
                return

    async def _to_spool(self, events: Sequence[Event], *, is_new: bool = False) -> bool:
        """Write events, `is_new` if the store was never asked for them; False when that fails: they then wait again."""
        try:
            # A thread that encodes would wait for the GIL while readers are answered.
            await asyncio.to_thread(self._spool.append, b"".join(map(encode_event, events)), is_new=is_new)
        except SpoolError as error:
            self._retry_spool_at = self._now() + self._retry
            if not self._spool_failing:
                self._log("events.spool_failing", error=str(error))
            self._spool_failing = True
            self._peak.cancel()
            self._waiting.extendleft(reversed(events))
            self._drop(len(self._waiting) - self._limit)
            self._wake.set()
            return False

        self._spool_failing = False
        if not self._recorder.has_store:
            self._publish(events)
        return True

    async def _unspool(self) -> None:
        """Move events from the spool to the store, oldest file first, until the store fails."""
        try:
            while self._may_unspool and await self._unspool_segment():
                pass
        except SpoolError as error:
            self._log("events.spool_failing", error=str(error))
            return
        if not (self.store_answers and self._may_unspool):
            return
        self._peak.settle()
        if self._recorder.outage:
            self._log("events.unspooled", events=self._unspooled)
            self._recorder.outage, self._unspooled = False, 0

    @property
    def _may_spool_peaks(self) -> bool:
        """Whether the spool has room for a peak, and the store is asked for it later."""
        return self._recorder.has_store and not self._spool_failing and self._spool.filled < SPOOL_PART

    @property
    def _may_unspool(self) -> bool:
        """Whether the store is asked for events of the spool."""
        return not self._closing and self._recorder.has_store and self._now() >= self._peak.over_at

    async def _unspool_segment(self) -> bool:
        """Move one file, with new events before each batch; False when there is no file or the store fails."""
        if not self._recorder.is_asked or not await self._reader.open_next():
            return False

        while batch := self._reader.batch(self._batch):
            await self._write_waiting()
            if not self._may_unspool:
                return False
            if not await self._recorder.record(batch, again=not self._reader.is_new):
                self._reader.retry()
                return False
            self._reader.advance(len(batch))

        self._unspooled += await self._reader.finish()
        return True

    async def _rotate(self) -> None:
        try:
            await asyncio.to_thread(self._spool.rotate)
        except SpoolError as error:
            self._log("events.spool_failing", error=str(error))

    def _overflow(self) -> None:
        """Spool waiting events when the store is slow; drop the oldest while the spool is busy or failing."""
        busy = self._spilling is not None and not self._spilling.done()
        if not busy and self._task is not None and self._now() >= self._retry_spool_at:
            self._spilling = asyncio.create_task(self._spill(self._take(len(self._waiting))), name="event spill")
        self._drop(len(self._waiting) - self._limit)

    async def _spill(self, events: Sequence[Event]) -> bool:
        return await self._to_spool(await self._affordable(events))

    async def _affordable(self, events: Sequence[Event]) -> Sequence[Event]:
        return events if self._shedding is None else await self._shedding.affordable(events)

    def _take(self, count: int) -> Sequence[Event]:
        return [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]

    def _drop(self, count: int) -> None:
        if count <= 0:
            return
        if not self.lost:
            self._log("events.lost", limit=self._limit)
        self._dropped += len(self._take(count))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Continue without the store after an exception other than StoreError."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self._log("events.store_faulty", error=repr(error))
        self._waiting.extendleft(reversed(self._in_flight))
        self._in_flight = ()
        if self._recorder.has_store and not self._closing:
            self._recorder.give_up()
            self._launch()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

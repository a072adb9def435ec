"""Counts events by span of time, and adds the counts to the store every few seconds."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from secrets import token_hex

from relay.app.context import AppContext
from relay.app.observer import Observer
from relay.app.tally_counter import TallyCounter
from relay.clock import Clock
from relay.events.ports import StoreError
from relay.reports.tallies import FINE, HOUR, BatchName, TallyKey, TallyStore, reader_counts

INTERVAL = 5.0
"""Seconds between two writes. So much of the counts ends with a process that is killed."""


class TallyWriter:
    """Adds the counts of this process to those in the store."""

    def __init__(self, counter: TallyCounter, store: TallyStore, observer: Observer, clock: Clock) -> None:
        self._counter = counter
        self._store = store
        self._observer = observer
        self._clock = clock
        self._folded_at = 0.0
        self._name = BatchName(token_hex(8), 0, 0.0)
        self._batch: Mapping[TallyKey, int] = {}
        """Counts whose addition was not confirmed. They keep their name, so that the store adds them once."""

    async def run(self) -> None:
        """Write again and again, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.write()

    async def write(self) -> None:
        """Write the new counts. Kept if the store fails."""
        try:
            # A batch whose answer did not come, or whose write was cancelled, is sent again under its name. So no count
            # is lost or added twice while the process lives. When it ends first, what was not added is missing.
            await self._add()
            self._batch = await self._take()
            await self._add()
            await self._fold()
        except StoreError as error:
            self._observer.store_trouble(error)

    async def _take(self) -> Mapping[TallyKey, int]:
        """Return the new counts as the next batch. They stay in the counter if the store fails, or on cancellation."""
        counts, actions = self._counter.take()
        try:
            if actions:
                counts.update(reader_counts(actions, await self._store.read_messages(actions)))
        except BaseException:
            self._counter.give_back(counts, actions)
            raise
        self._name = replace(self._name, number=self._name.number + 1, at=self._clock())
        return counts

    async def _add(self) -> None:
        if self._batch:
            await self._store.add(self._batch, self._name)
            self._batch = {}

    async def _fold(self) -> None:
        """Add up old counts by the hour, once an hour."""
        now = self._clock()
        if now - self._folded_at >= HOUR:
            await self._store.fold(now - FINE)
            self._folded_at = now


def open_tallies(context: AppContext) -> TallyWriter:
    """Return the writer. The last counts are written when all parts that cause events are closed."""
    writer = TallyWriter(context.observer.tallies, context.store.tallies, context.observer, context.clock)
    context.stack.push_async_callback(writer.write)
    return writer

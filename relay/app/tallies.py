"""Counts events by span of time, and adds the counts to the store every few seconds."""

import asyncio

from relay.app.context import AppContext
from relay.app.observer import Observer
from relay.app.tally_counter import TallyCounter
from relay.clock import Clock
from relay.events.ports import StoreError
from relay.reports.tallies import FINE, HOUR, TallyStore, reader_counts

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

    async def run(self) -> None:
        """Write again and again, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.write()

    async def write(self) -> None:
        """Write the new counts. Kept if the store fails."""
        counts, actions = self._counter.take()
        try:
            if actions:
                counts.update(reader_counts(actions, await self._store.read_messages(actions)))
                actions = []
            if counts:
                await self._store.add(counts)
            await self._fold()
        except StoreError as error:
            self._counter.give_back(counts, actions)
            self._observer.store_trouble(error)

    async def _fold(self) -> None:
        """Add up old counts by the hour, once an hour. Nodes that do it at the same time do it one after the other."""
        now = self._clock()
        if now - self._folded_at >= HOUR:
            self._folded_at = now
            await self._store.fold(now - FINE)


def open_tallies(context: AppContext) -> TallyWriter:
    """Return the writer. The last counts are written when all parts that cause events are closed."""
    writer = TallyWriter(context.observer.tallies, context.store.tallies, context.observer, context.clock)
    context.stack.push_async_callback(writer.write)
    return writer

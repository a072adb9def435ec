"""Records events in the store. One that it refuses stops no other, and after a failure it is not asked for a while."""

import asyncio
from collections.abc import Sequence

from relay.events.event import Event
from relay.events.ports import EventStore, Publish, RejectedError, StoreError
from relay.events.spool import Spool, SpoolError
from relay.log import Emit

_OF_AN_EVENT = (RejectedError, ValueError, TypeError, ArithmeticError, LookupError)
"""Errors that a value of one event can cause. The other events of a batch can be stored without it."""


class EventRecorder:
    """Records batches. `retry` is the number of seconds after a failure in which the store is not asked."""

    def __init__(self, store: EventStore | None, spool: Spool, publish: Publish, log: Emit, retry: float) -> None:
        self._store = store
        self._spool = spool
        self._publish = publish
        self._log = log
        self._retry = retry
        self._retry_at = 0.0
        self._failing = False
        self.outage = False
        """Whether events were left to the spool since the store answered and the spool was empty."""
        self.lost = 0
        """Refused events that could not be kept in a file."""

    @property
    def has_store(self) -> bool:
        """False on a separate tracker host, and after the store raised an unexpected exception."""
        return self._store is not None

    @property
    def answers(self) -> bool:
        """False while the store fails, and when there is none."""
        return self._store is not None and not self._failing

    @property
    def is_asked(self) -> bool:
        """Whether the store is asked now: it did not fail less than `retry` seconds ago."""
        return self._store is not None and asyncio.get_running_loop().time() >= self._retry_at

    def give_up(self) -> None:
        """Continue without the store."""
        self._store = None

    async def record(self, events: Sequence[Event], *, again: bool = False) -> bool:
        """Store events and publish them; False when the store fails or is not asked.

        A batch with an event that the store cannot hold is split, until that one is alone.
        """
        if self._store is None or not self.is_asked:
            return False
        try:
            recorded = await self._store.record(events, again=again)
        except _OF_AN_EVENT as error:
            if len(events) == 1:
                await self._set_aside(events[0], error)
                return True
            half = len(events) // 2
            # What the first half stored is recognised when the whole batch comes again.
            return await self.record(events[:half], again=again) and await self.record(events[half:], again=again)
        except StoreError as error:
            self._failed(error)
            return False

        self._failing = False
        self._publish(recorded)
        return True

    def _failed(self, error: StoreError) -> None:
        self._retry_at = asyncio.get_running_loop().time() + self._retry
        self._failing = True
        if not self.outage:
            self._log("events.spooled", error=str(error))
            self.outage = True

    async def _set_aside(self, event: Event, error: Exception) -> None:
        """Keep an event that the store cannot hold in a file of its own."""
        try:
            file = await asyncio.to_thread(self._spool.reject, event)
        except SpoolError:
            self.lost += 1
            file = ""
        self._log("events.rejected", queue_id=event.queue_id, kind=event.kind.value, file=file, error=str(error))

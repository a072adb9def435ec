"""Leaves out opens and clicks while disk space is short: mail needs the space, and is worth more."""

import asyncio
from collections.abc import Callable, Sequence

from relay.disk_space import EventSpace
from relay.events.event import Event, Kind
from relay.log import Emit

_SHED_KINDS = frozenset({Kind.OPEN, Kind.CLICK})
"""Kinds that are not kept while disk space is short. All others are facts about mail, or wishes of readers."""


class Shedding:
    """Filters batches of events by the space. `on_shed` is called with the number of events left out."""

    def __init__(self, space: EventSpace, log: Emit, on_shed: Callable[[int], None] = lambda _: None) -> None:
        self._space = space
        self._log = log
        self._on_shed = on_shed
        self._shed = 0

    async def affordable(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events that may be written."""
        was_short = self._space.is_short
        if not await asyncio.to_thread(self._space.check):
            if was_short:
                self._log("events.shed_ended", events=self._shed, free=self._space.free)
            return events

        if not was_short:
            self._shed = 0
            self._log("events.shed", free=self._space.free)
        kept = [event for event in events if event.kind not in _SHED_KINDS]
        self._shed += len(events) - len(kept)
        self._on_shed(len(events) - len(kept))
        return kept

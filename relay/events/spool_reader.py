"""Reads the closed files of the spool one after the other, sets damaged ones aside and logs what it found."""

import asyncio
from collections.abc import Sequence

from relay.events.event import Event
from relay.events.spool import Segment, Spool, SpoolError
from relay.log import Emit


class SpoolReader:
    """The place in the spool: an open file, and the number of its events that are in the store."""

    def __init__(self, spool: Spool, log: Emit) -> None:
        self._spool = spool
        self._log = log
        self._segment: Segment | None = None
        self._done = 0
        self.is_new = False
        """Whether the store was never asked to record the events of the open file that are left."""
        self._logged: set[str] = set()
        """Names that are no files, each logged once."""

    async def open_next(self) -> bool:
        """Open the oldest file unless one is open; False when the spool is empty. Raises SpoolError."""
        while self._segment is None:
            path = await asyncio.to_thread(self._spool.oldest)
            self._log_irregular()
            if path is None:
                return False
            try:
                self._segment, self._done = await asyncio.to_thread(self._spool.read, path), 0
                self.is_new = self._spool.is_new(path)
            except SpoolError as error:
                # The files behind it must not wait for it.
                await asyncio.to_thread(self._spool.set_aside, path)
                self._log("events.spool_unreadable", file=path.name, error=str(error))
                continue
            self._log_damage(self._segment)
        return True

    def batch(self, size: int) -> Sequence[Event]:
        """Return the next events of the open file, none at its end."""
        return self._segment.events[self._done : self._done + size] if self._segment else ()

    def retry(self) -> None:
        """Expect events that are stored already: the store failed, and may have recorded a part of a batch."""
        self.is_new = False

    def advance(self, count: int) -> None:
        """Count events of the open file as stored."""
        self._done += count

    async def finish(self) -> int:
        """Remove the open file, or set it aside if it was damaged. Return the number of its events."""
        assert self._segment is not None
        segment = self._segment
        done_with = self._spool.set_aside if segment.damaged else self._spool.remove
        await asyncio.to_thread(done_with, segment.path)
        self._segment = None
        return len(segment.events)

    def _log_damage(self, segment: Segment) -> None:
        if segment.torn or segment.damaged:
            self._log(
                "events.spool_damaged",
                file=segment.path.name,
                torn=segment.torn,
                damaged=segment.damaged,
                error=segment.fault,
            )

    def _log_irregular(self) -> None:
        for name in self._spool.irregular - self._logged:
            self._log("events.spool_irregular", file=name)
        self._logged = set(self._spool.irregular)

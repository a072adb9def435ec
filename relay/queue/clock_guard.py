"""Detects steps of the wall clock, and moves the times of queued entries by the same step.

Retry times and lifetimes are wall times, because they must survive restarts. A step of the wall clock (a wrong clock at
boot, a typing error, a bad time server) would expire or delay every entry. The monotonic clock cannot be stepped: a
change of the offset between the two clocks is a step.
"""

import asyncio
from dataclasses import replace

from relay.queue.context import QueueContext
from relay.queue.entry import Entry
from relay.queue.message import ClaimedBatch
from relay.queue.retry import RetrySchedule

TOLERANCE = 5.0
"""Seconds that the offset may change between two checks. NTP slews the clock by that much, which harms no entry."""


class ClockGuard:
    """Compares the wall clock with the monotonic clock."""

    def __init__(self, context: QueueContext) -> None:
        self._context = context
        self._offset = self.offset()
        self._lock = asyncio.Lock()

    def offset(self) -> float:
        """Return the seconds by which the wall clock is ahead of the monotonic clock."""
        while True:
            before = self._context.steady()
            now = self._context.clock()

            # A process suspended between the two readings would see a step that never happened.
            if self._context.steady() - before < TOLERANCE / 2:
                return now - before

    def is_steady(self) -> bool:
        """Note the offset of the clocks. False: the clock was stepped since the last check, and `check` must follow."""
        offset = self.offset()
        if abs(offset - self._offset) > TOLERANCE or self._lock.locked():
            return False
        self._offset = offset
        return True

    async def check(self, schedule: RetrySchedule) -> float:
        """Shift the times in the store when the clock was stepped since the last check. Return the step in seconds.

        Raises StoreError. The next check then repeats the shift.
        """
        if self.is_steady():
            return 0.0
        async with self._lock:
            offset = self.offset()
            step = offset - self._offset
            if abs(step) > TOLERANCE:
                await self._context.store.shift_clock(
                    self._context.clock(), step, schedule.longest_wait, schedule.lifetime
                )
                self._context.watch.clock_set(step)
            else:
                step = 0.0
            self._offset = offset
            return step

    def adjust_lifetime(self, claimed: ClaimedBatch, offset: float, schedule: RetrySchedule) -> ClaimedBatch:
        """Return a batch claimed at that offset of the clocks. Its expiry moves like that of the stored entries.

        After a step no entry lives longer than its lifetime from now, or from its release.
        """
        step = self.offset() - offset
        if abs(step) <= TOLERANCE:
            return claimed
        now = self._context.clock()

        def moved(entry: Entry) -> float:
            latest = max(now, entry.release_at) + schedule.lifetime
            if step > 0:
                return max(entry.expires_at, min(entry.expires_at + step, latest))
            return min(entry.expires_at, latest)

        return replace(claimed, entries=tuple(replace(entry, expires_at=moved(entry)) for entry in claimed.entries))

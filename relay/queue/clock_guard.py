"""The timekeeper: notices that the wall clock was set, and keeps that from ageing the mail.

Waits and lifetimes are kept as wall times, because they have to hold over restarts. A clock that is set while the
relay runs (a machine that started with a wrong one, a typing error, a bad time server) would move them all. The steady
clock cannot be set; when the two come apart, what waits is moved along.
"""

import asyncio
from dataclasses import replace

from relay.queue.context import QueueContext
from relay.queue.message import ClaimedBatch
from relay.queue.retry import RetrySchedule

TOLERANCE = 5.0
"""Seconds the clocks may come apart between two looks: time servers slew that much, and nobody's mail notices."""


class ClockGuard:
    """Compares the clocks of the tools."""

    def __init__(self, tools: QueueContext) -> None:
        self._tools = tools
        self._apart = self.offset()
        self._looking = asyncio.Lock()

    def offset(self) -> float:
        """Return how far the wall clock is ahead of the steady one, in seconds.

        A process that was kept from running between the two readings reads them again.
        """
        while True:
            before = self._tools.steady()
            now = self._tools.clock()
            if self._tools.steady() - before < TOLERANCE / 2:
                return now - before

    async def check(self, schedule: RetrySchedule) -> float:
        """Move what waits along when the clock was set since the last look; return by how many seconds it was.

        Raises StoreError; then the next look does it.
        """
        async with self._looking:
            apart = self.offset()
            step = apart - self._apart
            if abs(step) > TOLERANCE:
                await self._tools.store.shift_clock(self._tools.clock(), step, schedule.longest_wait, schedule.lifetime)
                self._tools.watch.clock_set(step)
            else:
                step = 0.0
            self._apart = apart
            return step

    def extend_lifetime(self, claimed: ClaimedBatch, apart: float) -> ClaimedBatch:
        """Return what was claimed when the clocks were that far apart, with the lifetime the store has since `look`."""
        step = self.offset() - apart
        if step <= TOLERANCE:
            return claimed
        return replace(
            claimed, entries=tuple(replace(one, expires_at=one.expires_at + step) for one in claimed.entries)
        )

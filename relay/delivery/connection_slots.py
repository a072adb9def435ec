"""Connection slots: limited for each lane and in total, and shared fairly.

A job in a lane at its limit waits for that lane only. At the total limit, a free slot goes to the waiting lanes in
turn: a lane with a thousand messages gets as many slots as a lane with two.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Lane:
    most: int = 0
    used: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    @property
    def can_grant(self) -> bool:
        """Whether a job waits and the lane is below its limit."""
        return bool(self.waiting) and self.used < self.most


class ConnectionSlots:
    """Grants slots. The limits come with each request, because a reload may change them."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._ready_lanes: dict[str, None] = {}
        self.used = 0
        """Slots in use."""
        self._most = 0

    @asynccontextmanager
    async def slot(self, name: str, *, lane_most: int, total_most: int) -> AsyncIterator[None]:
        """Hold a slot of this lane. Wait for it while the lane or the total is at its limit."""
        lane = self._lanes.setdefault(name, _Lane())
        lane.most, self._most = lane_most, total_most
        if lane.used < lane.most and self.used < self._most and not lane.waiting:
            lane.used += 1
            self.used += 1
        else:
            await self._wait(name, lane)
        try:
            yield
        finally:
            self._release(name, lane)

    async def _wait(self, name: str, lane: _Lane) -> None:
        waiter = asyncio.get_running_loop().create_future()
        lane.waiting.append(waiter)
        self._mark_ready(name, lane)
        self._grant()

        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._release(name, lane)
            elif waiter in lane.waiting:
                lane.waiting.remove(waiter)
            self._forget(name, lane)
            raise

    def _release(self, name: str, lane: _Lane) -> None:
        lane.used -= 1
        self.used -= 1
        self._mark_ready(name, lane)
        self._grant()
        self._forget(name, lane)

    def _mark_ready(self, name: str, lane: _Lane) -> None:
        if lane.can_grant:
            self._ready_lanes.setdefault(name)

    def _grant(self) -> None:
        """Grant free slots to the waiting lanes in turn."""
        while self._ready_lanes and self.used < self._most:
            name = next(iter(self._ready_lanes))
            del self._ready_lanes[name]
            lane = self._lanes.get(name)
            if lane is None or not lane.can_grant:
                continue
            waiter = lane.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                lane.used += 1
                self.used += 1
            self._mark_ready(name, lane)

    def _forget(self, name: str, lane: _Lane) -> None:
        if not lane.used and not lane.waiting:
            self._lanes.pop(name, None)

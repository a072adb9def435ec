"""Places for transactions under way: bounded for each lane and in total, shared fairly.

Whoever waits on a full lane waits for that lane alone. When the total is used up, a place that becomes free goes to
the lanes that wait in turn, so that a lane with a thousand messages gets no more of them than one with two.
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
    def is_next(self) -> bool:
        """Whether somebody waits here and the lane has room for one more."""
        return bool(self.waiting) and self.used < self.most


class ConnectionSlots:
    """Gives out places; the bounds come with each request, because a reload may change them."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._turns: dict[str, None] = {}
        self.used = 0
        """Places given out."""
        self._most = 0

    @asynccontextmanager
    async def place(self, name: str, *, lane_most: int, total_most: int) -> AsyncIterator[None]:
        """Hold a place on this lane, waiting for it when the lane or the total is full."""
        lane = self._lanes.setdefault(name, _Lane())
        lane.most, self._most = lane_most, total_most
        if lane.used < lane.most and self.used < self._most and not lane.waiting:
            lane.used += 1
            self.used += 1
        else:
            await self._queue(name, lane)
        try:
            yield
        finally:
            self._free(name, lane)

    async def _queue(self, name: str, lane: _Lane) -> None:
        turn = asyncio.get_running_loop().create_future()
        lane.waiting.append(turn)
        self._take_turn(name, lane)
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._free(name, lane)
            elif turn in lane.waiting:
                lane.waiting.remove(turn)
            self._forget(name, lane)
            raise

    def _free(self, name: str, lane: _Lane) -> None:
        lane.used -= 1
        self.used -= 1
        self._take_turn(name, lane)
        self._grant()
        self._forget(name, lane)

    def _take_turn(self, name: str, lane: _Lane) -> None:
        if lane.is_next:
            self._turns.setdefault(name)

    def _grant(self) -> None:
        """Hand free places to the lanes in turn."""
        while self._turns and self.used < self._most:
            name = next(iter(self._turns))
            del self._turns[name]
            lane = self._lanes.get(name)
            if lane is None or not lane.is_next:
                continue
            turn = lane.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                lane.used += 1
                self.used += 1
            self._take_turn(name, lane)

    def _forget(self, name: str, lane: _Lane) -> None:
        if not lane.used and not lane.waiting:
            self._lanes.pop(name, None)

"""Connection slots: limited by lane, by site, by other keys, and in total, and shared fairly.

A job whose limits are reached waits for them only. At the total limit, a free slot goes to the waiting lanes in turn: a
lane with a thousand messages gets as many slots as a lane with two.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    granted: asyncio.Future[None]
    limits: Mapping[str, int]


class ConnectionSlots:
    """Grants slots. The limits come with each request, because a reload may change them.

    A lane with waiting jobs is either ready, or blocked by one limit. Whenever a limit has room, at least one of the
    lanes that it blocked is ready.
    """

    def __init__(self) -> None:
        self._used: Counter[str] = Counter()
        self._waiting: dict[str, deque[_Waiter]] = {}
        self._ready: dict[str, None] = {}
        self._blocked: dict[str, dict[str, None]] = {}
        self.used = 0
        """Slots in use."""
        self._most = 0

    def used_of(self, key: str) -> int:
        """Return the slots in use that count towards a limit."""
        return self._used[key]

    @asynccontextmanager
    async def slot(self, lane: str, limits: Mapping[str, int], total: int) -> AsyncIterator[None]:
        """Hold a slot. Wait for it while one of the limits, by key, or the total is reached."""
        self._most = total
        if lane not in self._waiting and self.used < total and self._full_key(limits) is None:
            self._take(limits)
        else:
            await self._wait(lane, limits)
        try:
            yield
        finally:
            self._release(limits)

    def exchange(self, limits: dict[str, int], old: str, new: str) -> bool:
        """Make a slot in use count for another key of the same limit. Return whether that has room."""
        if old == new:
            return True
        most = limits[old]
        if self._used[new] >= most:
            return False
        del limits[old]
        limits[new] = most
        self._used[new] += 1
        self._give_up(old)
        self._grant()
        return True

    async def _wait(self, lane: str, limits: Mapping[str, int]) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), limits)
        if lane not in self._waiting:
            self._waiting[lane] = deque()
            self._ready[lane] = None
        self._waiting[lane].append(waiter)
        self._grant()

        try:
            await waiter.granted
        except asyncio.CancelledError:
            if not waiter.granted.cancelled():
                self._release(limits)
            else:
                self._forget(lane, waiter)
            raise

    def _take(self, limits: Mapping[str, int]) -> None:
        self.used += 1
        self._used.update(limits.keys())

    def _release(self, limits: Mapping[str, int]) -> None:
        self.used -= 1
        for key in limits:
            self._give_up(key)
        self._grant()

    def _give_up(self, key: str) -> None:
        self._used[key] -= 1
        if not self._used[key]:
            del self._used[key]
        self._unblock(key)

    def _full_key(self, limits: Mapping[str, int]) -> str | None:
        """Return the first limit that is reached, None if there is room."""
        return next((key for key, most in limits.items() if self._used[key] >= most), None)

    def _unblock(self, key: str) -> None:
        """Make the first lane ready that waits for this limit."""
        blocked = self._blocked.get(key)
        if blocked:
            lane = next(iter(blocked))
            del blocked[lane]
            self._ready.setdefault(lane)
            if not blocked:
                del self._blocked[key]

    def _grant(self) -> None:
        """Grant free slots to the ready lanes in turn."""
        while self._ready and self.used < self._most:
            lane = next(iter(self._ready))
            del self._ready[lane]
            waiter = self._waiting[lane][0]
            full = None if waiter.granted.done() else self._full_key(waiter.limits)
            if full is not None:
                self._blocked.setdefault(full, {})[lane] = None
            else:
                self._grant_first(lane)
            self._unblock_others(waiter.limits)

    def _grant_first(self, lane: str) -> None:
        """Grant a slot to the first job of a lane unless it was cancelled. The lane keeps its turn for the others."""
        waiters = self._waiting[lane]
        waiter = waiters.popleft()
        if not waiter.granted.done():
            self._take(waiter.limits)
            waiter.granted.set_result(None)
        if waiters:
            self._ready[lane] = None
        else:
            del self._waiting[lane]

    def _unblock_others(self, limits: Mapping[str, int]) -> None:
        """Make further lanes ready for limits that still have room after one lane had its turn."""
        for key, most in limits.items():
            if self._used[key] < most:
                self._unblock(key)

    def _forget(self, lane: str, waiter: _Waiter) -> None:
        """Remove a cancelled job from those that wait."""
        waiters = self._waiting.get(lane, deque())
        if waiter not in waiters:
            return
        waiters.remove(waiter)
        if waiters:
            return

        del self._waiting[lane]
        self._ready.pop(lane, None)
        for key in [key for key, lanes in self._blocked.items() if lane in lanes]:
            del self._blocked[key][lane]
            if not self._blocked[key]:
                del self._blocked[key]
        self._unblock_others(waiter.limits)
        self._grant()

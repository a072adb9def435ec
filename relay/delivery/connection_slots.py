"""Connection slots: limited by lane, by site, by other keys and in total, and shared out among the principals.

A job whose limits are reached waits for one of them only, so that no other job is held up. A free slot goes to the
principal that holds the fewest of the limit that was reached.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from relay.delivery.connection_limit import ConnectionLimit, LimitUse, WaitingLane
from relay.limits.priority import Flow

Limits = Mapping[str, ConnectionLimit]
"""The limits of a connection, by key: narrow ones first."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    granted: asyncio.Future[None]
    limits: Limits


class ConnectionSlots:
    """Grants slots. The limits come with each request, because a reload may change them.

    A line with waiting jobs waits for one limit, which had no room for its first job. A limit with room has no line
    that it could serve.
    """

    def __init__(self) -> None:
        self._uses: dict[str, LimitUse] = {}
        self._waiting: dict[WaitingLane, deque[_Waiter]] = {}
        self._blocked: dict[WaitingLane, str] = {}
        """The limit that each waiting line waits for."""
        self.used = 0
        """Slots in use."""

    def used_of(self, key: str) -> int:
        """Return the slots in use that count towards a limit."""
        return self._uses[key].used if key in self._uses else 0

    async def acquire(self, lane: str, limits: Limits, flow: Flow) -> None:
        """Take a slot, until `release`. Wait for it while one of the limits is reached."""
        if not self.take(lane, limits, flow):
            await self._wait(WaitingLane(flow, lane), limits)

    def take(self, lane: str, limits: Limits, flow: Flow) -> bool:
        """Take a slot if there is room and no earlier job of the lane waits. Return whether it was taken."""
        if self._waiting and WaitingLane(flow, lane) in self._waiting:
            return False
        party = flow.accountable
        if self._full_key(limits, party) is not None:
            return False
        self._take(limits, party, flow)
        return True

    def release(self, limits: Limits, flow: Flow) -> None:
        """Give a slot back, and offer it to those that wait for one of its limits."""
        self.used -= 1
        party = flow.accountable
        for key in limits:
            self._uses[key].give_back(party, flow)
        for key in limits:
            self._offer(key)

    def exchange(self, limits: dict[str, ConnectionLimit], flow: Flow, old: str, new: str) -> bool:
        """Make a slot in use count for another key with the same limit. Return whether that has room."""
        if old == new:
            return True
        limit, party = limits[old], flow.accountable
        if not self._use(new).admits(limit, party):
            self._forget_idle(new)
            return False
        del limits[old]
        limits[new] = limit
        self._use(new).take(party, flow)
        self._use(old).give_back(party, flow)
        self._offer(old)
        return True

    async def _wait(self, line: WaitingLane, limits: Limits) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), limits)
        if line in self._waiting:
            self._waiting[line].append(waiter)
        else:
            self._waiting[line] = deque([waiter])
            self._wait_on(line, next(iter(limits)))
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if not waiter.granted.cancelled():
                self.release(limits, line.flow)
            else:
                self._forget(line, waiter)
            raise

    def _use(self, key: str) -> LimitUse:
        use = self._uses.get(key)
        if use is None:
            use = self._uses[key] = LimitUse()
        return use

    def _take(self, limits: Limits, party: str, flow: Flow) -> None:
        self.used += 1
        for key in limits:
            self._use(key).take(party, flow)

    def _full_key(self, limits: Limits, party: str) -> str | None:
        """Return the first limit that is reached, None if there is room."""
        for key, limit in limits.items():
            if (use := self._uses.get(key)) is not None and not use.admits(limit, party):
                return key
        return None

    def _offer(self, key: str) -> None:
        """Grant the free slots of a limit to its waiters, one after the other."""
        use = self._uses.get(key)
        if use is None:
            return
        while use.waiting:
            line = use.first()
            if not use.admits(self._waiting[line][0].limits[key], line.flow.accountable):
                return
            use.leave(line)
            self._advance(line, key)
        if not use.used:
            self._forget_idle(key)

    def _advance(self, line: WaitingLane, key: str) -> None:
        """Grant a slot to the first job of a line if all its limits have room. The line waits on for its other jobs."""
        waiters = self._waiting[line]
        waiter = waiters[0]
        if waiter.granted.done():
            waiters.popleft()
        elif self._full_key(waiter.limits, line.flow.accountable) is None:
            waiters.popleft()
            self._take(waiter.limits, line.flow.accountable, line.flow)
            waiter.granted.set_result(None)
        self._wait_on(line, key)

    def _wait_on(self, line: WaitingLane, key: str) -> None:
        """Let a line wait for the limit that its next job finds without room, else for `key`, which is offered next."""
        if not self._waiting[line]:
            del self._waiting[line]
            self._blocked.pop(line, None)
            return
        limits = self._waiting[line][0].limits
        full = self._full_key(limits, line.flow.accountable)
        at = full or (key if key in limits else next(iter(limits)))
        self._blocked[line] = at
        self._use(at).wait(line)
        if full is None and at != key:
            self._offer(at)

    def _forget(self, line: WaitingLane, waiter: _Waiter) -> None:
        """Remove a cancelled job from those that wait."""
        waiters = self._waiting.get(line, deque())
        if waiter not in waiters:
            return
        waiters.remove(waiter)
        key = self._blocked[line]
        self._use(key).leave(line)
        self._wait_on(line, key)
        self._offer(key)

    def _forget_idle(self, key: str) -> None:
        if key in self._uses and self._uses[key].is_idle:
            del self._uses[key]

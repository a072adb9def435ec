"""Octets of large contents in files, granted in turns: no party takes more than a share that others need."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from relay.limits.fair_order import FairOrder
from relay.limits.priority import Flow
from relay.limits.shares import Shares

_UNIT = 1024 * 1024
"""Octets that cost one turn."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    octets: int
    parties: Mapping[str, float]
    granted: asyncio.Future[None]


class OctetBudget:
    """Grants octets. A party beyond its share waits, and delays no other party."""

    def __init__(self, total: int, reserve: int = 0) -> None:
        """Grant `total` octets, and a reserve to parties that hold nothing."""
        self.shares = Shares(total, reserve)
        self._order = FairOrder()
        self._waiting: dict[Flow, deque[_Waiter]] = {}

    @asynccontextmanager
    async def hold(self, octets: int, flow: Flow, parties: Mapping[str, float]) -> AsyncIterator[None]:
        """Hold that many octets for these parties, each with the factor of its share. Wait for them in turns."""
        waiter = _Waiter(octets, parties, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(flow, deque()).append(waiter)
        self._grant()
        try:
            await waiter.granted
            yield
        finally:
            if waiter.granted.cancelled():
                self._forget(flow, waiter)
            else:
                self.shares.give_back(octets, parties)
            self._grant()

    def _grant(self) -> None:
        """Grant what is free, flow by flow, to the first of each that its parties' shares admit."""
        while (found := self._next()) is not None:
            flow, waiter = found
            self._forget(flow, waiter)
            self._order.serve(flow, max(1.0, waiter.octets / _UNIT))
            self.shares.take(waiter.octets, waiter.parties)
            waiter.granted.set_result(None)

    def _next(self) -> tuple[Flow, _Waiter] | None:
        for flow in self._order.order(self._waiting):
            for waiter in self._waiting[flow]:
                if not waiter.granted.done() and self.shares.admits(waiter.octets, waiter.parties):
                    return flow, waiter
        return None

    def _forget(self, flow: Flow, waiter: _Waiter) -> None:
        waiting = self._waiting.get(flow)
        if waiting is not None and waiter in waiting:
            waiting.remove(waiter)
            if not waiting:
                del self._waiting[flow]

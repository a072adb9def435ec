"""A store that fails on demand."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from relay.events.ports import StoreError
from relay.limits.ports import Slot, Usage
from relay.limits.priority import Flow
from relay.limits.window import Window
from relay.queue.claim_limits import NO_HOLDERS, ClaimLimits, Holders
from relay.queue.entry import Entry
from relay.queue.message import ClaimedBatch, NewMessage, Settlement
from relay.queue.nodes import ALL_CONNECTIONS, NodeConnections
from relay.storage.sqlite.store import SqliteStore


@dataclass
class FlakyStore:
    """The store that fails on demand: the next calls of a method raise StoreError."""

    store: SqliteStore
    failures: dict[str, int] = field(default_factory=dict)
    turn: int = 0
    """Changes with each wait for an idle queue."""
    idle_turn: int = -1
    """The turn in which the last claim began that found nothing."""

    def _fail_if_due(self, method: str) -> None:
        if self.failures.get(method, 0) > 0:
            self.failures[method] -= 1
            raise StoreError(f"{method}: disk I/O error")

    async def shift_clock(self, now: float, step: float, longest_wait: float, lifetime: float) -> None:
        self._fail_if_due("shift_clock")
        await self.store.queue.shift_clock(now, step, longest_wait, lifetime)

    async def leased_by_previous_run(self, keys: Sequence[tuple[str, int]]) -> Sequence[ClaimedBatch]:
        return await self.store.queue.leased_by_previous_run(keys)

    async def claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        self._fail_if_due("claim")
        turn = self.turn
        claimed = await self.store.queue.claim(now, room)
        if not claimed:
            self.idle_turn = turn
        return claimed

    async def copy_content(self, queue_id: str, file: BinaryIO) -> str:
        self._fail_if_due("copy_content")
        return await self.store.queue.copy_content(queue_id, file)

    async def next_due(
        self,
        busy: Collection[str],
        flows: Collection[Flow] = (),
        connections: NodeConnections = ALL_CONNECTIONS,
        holders: Holders = NO_HOLDERS,
    ) -> float | None:
        self._fail_if_due("next_due")
        return await self.store.queue.next_due(busy, flows, connections, holders)

    async def apply(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        self._fail_if_due("apply")
        return await self.store.queue.apply(settlements)

    @property
    def can_lease(self) -> bool:
        return self.store.queue.can_lease

    def holds(self, entries: Sequence[Entry]) -> bool:
        return self.store.queue.holds(entries)

    async def enqueue(self, accepted: NewMessage) -> bool:
        self._fail_if_due("enqueue")
        return await self.store.queue.enqueue(accepted)

    async def recover(self, now: float, longest_wait: float) -> int:
        return await self.store.queue.recover(now, longest_wait)

    async def acquire(self, slot: Slot, now: float) -> float:
        self._fail_if_due("acquire")
        return await self.store.limits.acquire(slot, now)

    async def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> Sequence[float]:
        return await self.store.limits.reserve(slots, at)

    async def advance(self, slots: Sequence[Slot], at: Sequence[float], before: Sequence[float]) -> Sequence[float]:
        self._fail_if_due("advance")
        return await self.store.limits.advance(slots, at, before)

    async def release(self, queue_id: str, numbers: Sequence[int]) -> None:
        await self.store.limits.release(queue_id, numbers)

    async def commit(self, queue_id: str, numbers: Sequence[int]) -> None:
        await self.store.limits.commit(queue_id, numbers)

    async def usage(self, windows: Mapping[str, tuple[Window, ...]], now: float) -> Mapping[str, Usage]:
        return await self.store.limits.usage(windows, now)

"""Ledgers of identities and providers, in memory, with write-behind.

A reservation does not wait for the disk. Its rows go to the writer before the message's rows, and the writer keeps
the order: no message is on disk without its slots. When the slots cannot be written, the message cannot either.
A crash between the two leaves future slots without a message; the next start releases them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from relay.limits.ledgers import LedgerBook, SlotKey, SlotTime
from relay.limits.ports import Slot, Usage
from relay.limits.window import DAY, SlotKind, Window
from relay.storage.database import Connection
from relay.storage.writer import Writer

SWEEP = 3600.0
"""Seconds between two sweeps, which drop slots that no window covers any more."""

_LOAD = "SELECT queue_id, number, key, at, standing FROM slots WHERE at >= ?"

_WRITE = (
    "INSERT INTO slots (queue_id, number, key, at, standing) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (queue_id, number, key) DO UPDATE SET at = excluded.at, standing = excluded.standing"
)

DELETE = "DELETE FROM slots WHERE queue_id = ? AND number = ? AND key = ?"

DELETE_OLD = "DELETE FROM slots WHERE at < ?"

_DELETE_ORPHANS = (
    "DELETE FROM slots WHERE at > ? AND NOT EXISTS (SELECT 1 FROM entries "
    "WHERE entries.queue_id = slots.queue_id AND entries.number = slots.number)"
)


class Ledgers:
    """Ledgers of the only process that uses a database file. Not thread-safe."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._book = LedgerBook()
        self._unwritten: dict[SlotKey, SlotTime | None] = {}
        self._swept_at = 0.0

    async def load(self, now: float) -> None:
        """Read the slots of the last day and later; release future ones without an entry."""
        for queue_id, number, key, at, standing in await self._writer.run(_load(now)):
            self._book.enter((queue_id, number, key), (at, SlotKind(standing)))
        self._swept_at = now

    async def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> list[float]:
        """Enter each slot at the earliest time, not before its `at`, that its windows allow."""
        times = self._book.reserve(slots, at)
        self._write()
        return times

    async def advance(self, slots: Sequence[Slot], at: Sequence[float], before: Sequence[float]) -> list[float]:
        """Move each slot to the earliest time from its `at` that its windows allow, if that is before `before`."""
        times = self._book.advance(slots, at, before)
        self._write()
        return times

    async def acquire(self, slot: Slot, now: float) -> float:
        """Move the slot to `now` if its windows allow that, else to the next free time; return its time."""
        moment = self._book.acquire(slot, now)
        if now - self._swept_at > SWEEP:
            self._swept_at = now
            self._book.sweep(now - DAY)
            self._writer.post(_delete_old(now - DAY))
        self._write()
        return moment

    async def release(self, queue_id: str, numbers: Iterable[int]) -> None:
        """Release the slots of entries."""
        self._book.release(queue_id, numbers)
        self._write()

    async def commit(self, queue_id: str, numbers: Iterable[int]) -> None:
        """Count sent messages permanently, each under a key of its own that the entry's next slot does not replace."""
        self._book.commit(queue_id, numbers)
        self._write()

    async def usage(self, windows: Mapping[str, Sequence[Window]], now: float) -> dict[str, Usage]:
        """Return the usage of each ledger, by key."""
        return self._book.usage(windows, now)

    def _write(self) -> None:
        """Submit the changes. Rows that could not be written are written with the next ones."""
        rows = self._unwritten | self._book.changes()
        self._unwritten = {}
        if not rows:
            return

        def written(future: asyncio.Future[None]) -> None:
            if future.cancelled() or future.exception() is not None:
                self._unwritten = rows | self._unwritten

        self._writer.submit(_write(rows)).add_done_callback(written)


def _load(now: float) -> Callable[[Connection], list[tuple[str, int, str, float, int]]]:
    def operation(raw: Connection) -> list[tuple[str, int, str, float, int]]:
        raw.execute(DELETE_OLD, (now - DAY,))
        raw.execute(_DELETE_ORPHANS, (now,))
        return raw.execute(_LOAD, (now - DAY,)).fetchall()

    return operation


def _write(rows: dict[SlotKey, SlotTime | None]) -> Callable[[Connection], None]:
    released = [key for key, slot_time in rows.items() if slot_time is None]
    entered = [(*key, *slot_time) for key, slot_time in rows.items() if slot_time is not None]

    def operation(raw: Connection) -> None:
        if released:
            raw.executemany(DELETE, released)
        if entered:
            raw.executemany(_WRITE, entered)

    return operation


def _delete_old(before: float) -> Callable[[Connection], None]:
    def operation(raw: Connection) -> None:
        raw.execute(DELETE_OLD, (before,))

    return operation

"""The ledgers of identities and providers: kept in memory, answered at once, written behind.

A reservation need not wait for the disk. Its rows are submitted to the writer before the caller can submit the
message they belong to, and the writer keeps the order: the message is never on disk without its places. When the
rows cannot be written neither can the message. A crash in between leaves places in the future without a message;
they are given back when the store is opened.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from relay.limits.ledgers import LedgerBook, Place, PlaceKey
from relay.limits.ports import Slot, Usage
from relay.limits.window import DAY, SlotKind, Window
from relay.storage.database import Connection
from relay.storage.writer import Writer

SWEEP = 3600.0
"""Seconds between two times at which places no window can see any more are dropped."""


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
    """The books of the one process that works on a database file. Not for use from several threads."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._books = LedgerBook()
        self._unwritten: dict[PlaceKey, Place | None] = {}
        self._swept_at = 0.0

    async def load(self, now: float) -> None:
        """Read the places no older than a day; give back those in the future that belong to no entry."""
        for queue_id, number, key, at, standing in await self._writer.run(_load(now)):
            self._books.enter((queue_id, number, key), (at, SlotKind(standing)))
        self._swept_at = now

    async def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> list[float]:
        """Enter each slot at the earliest time, not before its `at`, that breaks none of its windows."""
        times = self._books.reserve(slots, at)
        self._write()
        return times

    async def acquire(self, slot: Slot, now: float) -> float:
        """Move the slot to `now` if its windows allow that, else to the next free time; return where it is."""
        moment = self._books.acquire(slot, now)
        if now - self._swept_at > SWEEP:
            self._swept_at = now
            self._books.sweep(now - DAY)
            self._writer.post(_delete_old(now - DAY))
        self._write()
        return moment

    async def release(self, queue_id: str, numbers: Iterable[int]) -> None:
        """Give the places of entries back."""
        self._books.release(queue_id, numbers)
        self._write()

    async def commit(self, queue_id: str, numbers: Iterable[int]) -> None:
        """Let what left count for good, under a name of its own, so that the entry's next place does not replace it."""
        self._books.commit(queue_id, numbers)
        self._write()

    async def usage(self, windows: Mapping[str, Sequence[Window]], now: float) -> dict[str, Usage]:
        """Return how the ledgers stand."""
        return self._books.usage(windows, now)

    def _write(self) -> None:
        """Submit what changed. Rows that could not be written ride with the next ones."""
        rows = self._unwritten | self._books.changes()
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


def _write(rows: dict[PlaceKey, Place | None]) -> Callable[[Connection], None]:
    gone = [key for key, place in rows.items() if place is None]
    placed = [(*key, *place) for key, place in rows.items() if place is not None]

    def operation(raw: Connection) -> None:
        if gone:
            raw.executemany(DELETE, gone)
        if placed:
            raw.executemany(_WRITE, placed)

    return operation


def _delete_old(before: float) -> Callable[[Connection], None]:
    def operation(raw: Connection) -> None:
        raw.execute(DELETE_OLD, (before,))

    return operation

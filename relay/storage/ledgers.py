"""The ledgers of identities and providers: kept in memory, answered at once, written behind.

A reservation need not wait for the disk. Its rows are submitted to the writer before the caller can submit the
message they belong to, and the writer keeps the order: the message is never on disk without its places. When the
rows cannot be written neither can the message. A crash in between leaves places in the future without a message;
they are given back when the store is opened.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from relay.limits.window import DAY, Ledger, Standing, Window, earliest
from relay.queue.ports import Slot, Usage
from relay.storage.database import Connection
from relay.storage.writer import Writer

_Key = tuple[str, int, str]
"""Queue id, number, ledger key."""

_Place = tuple[float, Standing]
"""A time and what it stands for."""

_SWEEP = 3600.0
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
    """All ledgers, with the places of each entry. Not for use from several threads."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._ledgers: dict[str, Ledger] = {}
        self._places: dict[tuple[str, int], dict[str, _Place]] = {}
        self._unwritten: dict[_Key, _Place | None] = {}
        self._swept_at = 0.0

    async def load(self, now: float) -> None:
        """Read the places no older than a day; give back those in the future that belong to no entry."""
        for queue_id, number, key, at, standing in await self._writer.run(_load(now)):
            self._enter(queue_id, number, key, (at, Standing(standing)))
        self._swept_at = now

    def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> list[float]:
        """Enter each slot at the earliest time, not before its `at`, that breaks none of its windows."""
        times = []
        for slot, wanted in zip(slots, at, strict=True):
            self._leave(slot.queue_id, slot.number)
            times.append(self._place(slot, wanted))
        self._write()
        return times

    def depart(self, slot: Slot, now: float) -> float:
        """Move the slot to `now` if its windows allow that, else to the next free time; return where it is."""
        self._leave(slot.queue_id, slot.number)
        moment = self._depart(slot, now)
        if now - self._swept_at > _SWEEP:
            self._sweep(now)
        self._write()
        return moment

    def forget(self, queue_id: str, numbers: Iterable[int]) -> None:
        """Give the places of entries back."""
        for number in numbers:
            self._leave(queue_id, number)
        self._write()

    def keep(self, queue_id: str, numbers: Iterable[int]) -> None:
        """Let what left count for good, under a name of its own, so that the entry's next place does not replace it."""
        for number in numbers:
            places = self._places.get((queue_id, number), {})
            left = {key: place for key, place in places.items() if place[1] is Standing.LEFT}
            self._leave(queue_id, number)
            for key, place in left.items():
                self._register(f"{queue_id}~{place[0]:.6f}", number, key, place)
        self._write()

    def usage(self, windows: Mapping[str, Sequence[Window]], now: float) -> dict[str, Usage]:
        """Return how the ledgers stand."""
        return {key: _usage(self._ledgers.get(key, Ledger()), limits, now) for key, limits in windows.items()}

    def _place(self, slot: Slot, wanted: float) -> float:
        return self._put(slot, (earliest(self._of(slot), wanted), Standing.RESERVED))

    def _depart(self, slot: Slot, now: float) -> float:
        free = all(ledger.may_leave(limits, now) for ledger, limits in self._of(slot))
        if free:
            return self._put(slot, (now, Standing.LEFT))
        return self._put(slot, (earliest(self._of(slot), now, Standing.LATE), Standing.LATE))

    def _of(self, slot: Slot) -> list[tuple[Ledger, tuple[Window, ...]]]:
        return [(self._ledgers.setdefault(key, Ledger()), limits) for key, limits in slot.windows.items()]

    def _put(self, slot: Slot, place: _Place) -> float:
        for key in slot.windows:
            self._register(slot.queue_id, slot.number, key, place)
        return place[0]

    def _register(self, queue_id: str, number: int, key: str, place: _Place) -> None:
        self._enter(queue_id, number, key, place)
        self._unwritten[queue_id, number, key] = place

    def _enter(self, queue_id: str, number: int, key: str, place: _Place) -> None:
        self._ledgers.setdefault(key, Ledger()).add(*place)
        self._places.setdefault((queue_id, number), {})[key] = place

    def _leave(self, queue_id: str, number: int) -> None:
        for key, place in self._places.pop((queue_id, number), {}).items():
            self._ledgers[key].remove(*place)
            self._unwritten[queue_id, number, key] = None

    def _sweep(self, now: float) -> None:
        """Drop places no window can see any more."""
        self._swept_at = now
        old = now - DAY
        for ledger in self._ledgers.values():
            ledger.forget_before(old)
        self._ledgers = {key: ledger for key, ledger in self._ledgers.items() if not ledger.is_empty}
        self._places = {
            entry: kept
            for entry, places in self._places.items()
            if (kept := {key: place for key, place in places.items() if place[0] >= old})
        }
        self._writer.post(_delete_old(old))

    def _write(self) -> None:
        """Submit what changed. Rows that could not be written ride with the next ones."""
        if not self._unwritten:
            return
        rows, self._unwritten = self._unwritten, {}

        def written(future: asyncio.Future[None]) -> None:
            if future.cancelled() or future.exception() is not None:
                self._unwritten = rows | self._unwritten

        self._writer.submit(_write(rows)).add_done_callback(written)


def _usage(ledger: Ledger, limits: Sequence[Window], now: float) -> Usage:
    left = tuple(ledger.left_within(window.span, now) for window in limits)
    return Usage(left, ledger.waiting(now), ledger.earliest(limits, now))


def _load(now: float) -> Callable[[Connection], list[tuple[str, int, str, float, int]]]:
    def operation(raw: Connection) -> list[tuple[str, int, str, float, int]]:
        raw.execute(DELETE_OLD, (now - DAY,))
        raw.execute(_DELETE_ORPHANS, (now,))
        return raw.execute(_LOAD, (now - DAY,)).fetchall()

    return operation


def _write(rows: dict[_Key, _Place | None]) -> Callable[[Connection], None]:
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

"""The ledgers of identities and providers that all nodes share.

What a window allows is computed by `storage.books`, as on one machine, in a transaction that holds the rows of the
ledgers it touches: two nodes never compute from the same state. Each node keeps the books of what it has seen; a
ledger's row says by a number whether it changed since, and then only the places that changed are read. All calls that
wait share one transaction, so a thousand recipients cost as many round trips as one.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay.limits.ledgers import LedgerBook
from relay.limits.ports import Slot, Usage
from relay.limits.window import DAY, SlotKind, Window
from relay.storage.batcher import Batcher
from relay.storage.database import Connection
from relay.storage.postgres.connection import PostgresLink
from relay.storage.sqlite.ledgers import SWEEP
from relay.storage.writer import Writer

KEYS_OF = (
    "SELECT DISTINCT key FROM unnest(?::text[], ?::int[]) AS wanted (queue_id, number) "
    "JOIN slots ON slots.queue_id = wanted.queue_id AND slots.number = wanted.number WHERE standing IS NOT NULL"
)


LOCK = "SELECT key, change FROM ledgers WHERE key = ANY(?::text[]) ORDER BY key FOR UPDATE"


MAKE = "INSERT INTO ledgers (key, change) SELECT key, 0 FROM unnest(?::text[]) AS made (key) ON CONFLICT DO NOTHING"


CHANGED = (
    "SELECT slots.queue_id, slots.number, slots.key, slots.at, slots.standing "
    "FROM unnest(?::text[], ?::bigint[]) AS seen (key, change) "
    "JOIN slots ON slots.key = seen.key AND slots.change > seen.change"
)


NEXT = "SELECT nextval('ledger_changes')"


WRITE = (
    "INSERT INTO slots (queue_id, number, key, at, standing, change, node) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (queue_id, number, key) DO UPDATE SET at = excluded.at, standing = excluded.standing, "
    "change = excluded.change, node = excluded.node"
)


GIVE_BACK = "UPDATE slots SET standing = NULL, change = ? WHERE queue_id = ? AND number = ? AND key = ?"


CHANGE = "UPDATE ledgers SET change = ? WHERE key = ANY(?::text[])"


ORPHANS = (
    "SELECT DISTINCT queue_id, number FROM slots WHERE at > ? AND node = ? AND standing IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM entries WHERE entries.queue_id = slots.queue_id AND entries.number = slots.number)"
)


DELETE_OLD = "DELETE FROM slots WHERE at < ?"


DELETE_UNUSED = "DELETE FROM ledgers WHERE NOT EXISTS (SELECT 1 FROM slots WHERE slots.key = ledgers.key)"


@dataclass(frozen=True, slots=True)
class _Call:
    """A question to the books, and the ledgers it needs: those named, and those the entries have places in."""

    ask: Callable[[LedgerBook], Any]
    entries: Collection[tuple[str, int]] = ()
    keys: Collection[str] = ()


class SharedLedgers:
    """The ledgers as one node sees them, on a connection of its own."""

    def __init__(self, url: str, node: str) -> None:
        self._node = node
        self._link = PostgresLink(url, seeking=True)
        self._writer = Writer(self._link, self._distrust)
        self._books = LedgerBook()
        self._seen: dict[str, int] = {}
        self._swept_at = 0.0
        self._rounds = Batcher[_Call, Any](lambda calls: self._writer.run(self._answer(calls)))

    async def load(self, now: float) -> None:
        """Give back the places in the future that an earlier start of this node left without an entry."""
        self._swept_at = now
        await self.give_back(self._node, now)

    async def give_back(self, node: str, now: float) -> None:
        """Give back the places in the future without an entry that a node left which is gone."""
        orphans = await self._writer.run(lambda raw: raw.execute(ORPHANS, (now, node)).fetchall())
        if orphans:
            await self._rounds(_Call(lambda books: _forget(books, orphans), set(orphans)))

    async def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> list[float]:
        """Enter each slot at the earliest time, not before its `at`, that breaks none of its windows."""
        times: list[float] = await self._rounds(_for(slots, lambda books: books.reserve(slots, at)))
        return times

    async def acquire(self, slot: Slot, now: float) -> float:
        """Move the slot to `now` if its windows allow that, else to the next free time; return where it is."""
        if now - self._swept_at > SWEEP:
            self._swept_at = now
            self._writer.post(self._sweep(now - DAY))
        moment: float = await self._rounds(_for([slot], lambda books: books.acquire(slot, now)))
        return moment

    async def release(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Give the places of entries back."""
        await self._rounds(_of(queue_id, numbers, lambda books: books.release(queue_id, numbers)))

    async def commit(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Let what left count for good, under a name of its own, so that the entry's next place does not replace it."""
        await self._rounds(_of(queue_id, numbers, lambda books: books.commit(queue_id, numbers)))

    async def usage(self, windows: Mapping[str, Sequence[Window]], now: float) -> dict[str, Usage]:
        """Return how the ledgers stand."""
        usage: dict[str, Usage] = await self._rounds(_Call(lambda books: books.usage(windows, now), keys=set(windows)))
        return usage

    async def close(self) -> None:
        """Answer what waits and close the connection."""
        await self._rounds.close()
        await self._writer.close()
        await self._link.close()

    def _distrust(self) -> None:
        """Read everything again: what was computed last did not become durable, or nobody knows."""
        self._books = LedgerBook()
        self._seen = {}

    def _answer(self, calls: Sequence[_Call]) -> Callable[[Connection], list[Any]]:
        def operation(raw: Connection) -> list[Any]:
            self._look(raw, calls)
            answers = [call.ask(self._books) for call in calls]
            self._write(raw)
            return answers

        return operation

    def _look(self, raw: Connection, calls: Sequence[_Call]) -> None:
        """Lock the ledgers the calls need and learn what changed in them."""
        entries = {entry for call in calls for entry in call.entries}
        keys = {key for call in calls for key in call.keys}
        if entries:
            columns = [entry[0] for entry in entries], [entry[1] for entry in entries]
            keys.update(row[0] for row in raw.execute(KEYS_OF, columns))
        locked = self._lock(raw, keys)
        stale = [key for key, change in locked.items() if change != self._seen.get(key, 0)]
        if stale:
            seen = [self._seen.get(key, 0) for key in stale]
            for queue_id, number, key, at, standing in raw.execute(CHANGED, (stale, seen)).fetchall():
                self._books.enter((queue_id, number, key), None if standing is None else (at, SlotKind(standing)))
        self._seen |= locked

    def _lock(self, raw: Connection, keys: Collection[str]) -> dict[str, int]:
        """Lock ledgers, always in the same order, so that no two nodes wait for each other."""
        wanted = sorted(keys)
        locked = dict(raw.execute(LOCK, (wanted,)).fetchall()) if wanted else {}
        if len(locked) < len(wanted):
            raw.execute(MAKE, (wanted,))
            locked = dict(raw.execute(LOCK, (wanted,)).fetchall())
        return locked

    def _write(self, raw: Connection) -> None:
        changes = self._books.changes()
        if not changes:
            return
        number = raw.execute(NEXT).fetchone()[0]
        gone = [(number, *key) for key, place in changes.items() if place is None]
        if gone:
            raw.executemany(GIVE_BACK, gone)
        placed = [(*key, *place, number, self._node) for key, place in changes.items() if place is not None]
        if placed:
            raw.executemany(WRITE, placed)
        keys = {key for _, _, key in changes}
        raw.execute(CHANGE, (number, list(keys)))
        self._seen |= dict.fromkeys(keys, number)

    def _sweep(self, old: float) -> Callable[[Connection], None]:
        def operation(raw: Connection) -> None:
            self._books.sweep(old)
            raw.execute(DELETE_OLD, (old,))
            raw.execute(DELETE_UNUSED)

        return operation


def _for(slots: Sequence[Slot], ask: Callable[[LedgerBook], Any]) -> _Call:
    keys = {key for slot in slots for key in slot.windows}
    return _Call(ask, {(slot.queue_id, slot.number) for slot in slots}, keys)


def _of(queue_id: str, numbers: Iterable[int], ask: Callable[[LedgerBook], Any]) -> _Call:
    return _Call(ask, {(queue_id, number) for number in numbers})


def _forget(books: LedgerBook, entries: Iterable[tuple[str, int]]) -> None:
    for queue_id, number in entries:
        books.release(queue_id, [number])

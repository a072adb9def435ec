"""Ledgers of identities and providers, shared by all nodes.

`limits.ledgers` computes the slots, as on one machine, in a transaction that locks the rows of its ledgers. So two
nodes never compute from the same state. Each node keeps a copy of the ledgers. A change number in the ledger's row
shows whether the copy is stale; then only the changed slots are read. All waiting calls share one transaction, so
that a thousand recipients cost as many round trips as one.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay.limits.ledgers import LedgerBook
from relay.limits.ports import Slot, Usage
from relay.limits.window import DAY, SlotKind, Window
from relay.storage.batcher import Batcher
from relay.storage.database import Connection
from relay.storage.postgres.connection import PostgresLink, Target
from relay.storage.sqlite.ledgers import SWEEP
from relay.storage.writer import Writer

KEYS_OF = (
    "SELECT DISTINCT key FROM unnest(?::text[], ?::int[]) AS wanted (queue_id, number) "
    "JOIN slots ON slots.queue_id = wanted.queue_id AND slots.number = wanted.number WHERE standing IS NOT NULL"
)

LOCK = "SELECT key, change FROM ledgers WHERE key = ANY(?::text[]) ORDER BY key FOR UPDATE"

SEEN = "SELECT key, change FROM ledgers WHERE key = ANY(?::text[])"

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
    """A function of the ledgers, and the ledgers it needs: the named ones and those with slots of the entries.

    `reads` are ledgers that it does not change: they are not locked, so that no message waits for them.
    """

    function: Callable[[LedgerBook], Any]
    entries: Collection[tuple[str, int]] = ()
    keys: Collection[str] = ()
    reads: Collection[str] = ()


class SharedLedgers:
    """One node's copy of the ledgers, on a connection of its own."""

    def __init__(self, target: Target, node: str) -> None:
        self._node = node
        self._link = PostgresLink(target, seeking=True)
        self._writer = Writer(self._link, self._reset)
        self._book = LedgerBook()
        self._seen: dict[str, int] = {}
        self._swept_at = 0.0
        self._rounds = Batcher[_Call, Any](lambda calls: self._writer.run(self._run(calls)))

    async def load(self, now: float) -> None:
        """Release future slots without an entry that an earlier run of this node left."""
        self._swept_at = now
        await self.give_back(self._node, now)

    async def give_back(self, node: str, now: float) -> None:
        """Release future slots without an entry that a dead node left."""
        orphans = await self._writer.run(lambda raw: raw.execute(ORPHANS, (now, node)).fetchall())
        if orphans:
            await self._rounds(_Call(lambda book: _release(book, orphans), set(orphans)))

    async def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> list[float]:
        """Enter each slot at the earliest time, not before its `at`, that its windows allow."""
        times: list[float] = await self._rounds(_for(slots, lambda book: book.reserve(slots, at)))
        return times

    async def advance(self, slots: Sequence[Slot], at: Sequence[float], before: Sequence[float]) -> list[float]:
        """Move each slot to the earliest time from its `at` that its windows allow, if that is before `before`."""
        times: list[float] = await self._rounds(_for(slots, lambda book: book.advance(slots, at, before)))
        return times

    async def acquire(self, slot: Slot, now: float) -> float:
        """Move the slot to `now` if its windows allow that, else to the next free time; return its time."""
        if now - self._swept_at > SWEEP:
            self._swept_at = now
            self._writer.post(self._sweep(now - DAY))
        moment: float = await self._rounds(_for([slot], lambda book: book.acquire(slot, now)))
        return moment

    async def release(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Release the slots of entries."""
        await self._rounds(_of(queue_id, numbers, lambda book: book.release(queue_id, numbers)))

    async def commit(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Count sent messages permanently, each under a key of its own that the entry's next slot does not replace."""
        await self._rounds(_of(queue_id, numbers, lambda book: book.commit(queue_id, numbers)))

    async def usage(self, windows: Mapping[str, Sequence[Window]], now: float) -> dict[str, Usage]:
        """Return the usage of each ledger, by key."""
        usage: dict[str, Usage] = await self._rounds(_Call(lambda book: book.usage(windows, now), reads=set(windows)))
        return usage

    async def close(self) -> None:
        """Complete waiting calls and close the connection."""
        await self._rounds.close()
        await self._writer.close()
        await self._link.close()

    def _reset(self) -> None:
        """Read everything again: the last changes did not become durable, or may not have."""
        self._book = LedgerBook()
        self._seen = {}

    def _run(self, calls: Sequence[_Call]) -> Callable[[Connection], list[Any]]:
        def operation(raw: Connection) -> list[Any]:
            self._read_changes(raw, calls)
            results = [call.function(self._book) for call in calls]
            self._write(raw)
            return results

        return operation

    def _read_changes(self, raw: Connection, calls: Sequence[_Call]) -> None:
        """Lock the ledgers that the calls change. Read the changes of these, and of the ones that calls only read."""
        entries = {entry for call in calls for entry in call.entries}
        keys = {key for call in calls for key in call.keys}
        if entries:
            columns = [entry[0] for entry in entries], [entry[1] for entry in entries]
            keys.update(row[0] for row in raw.execute(KEYS_OF, columns))

        present = self._lock(raw, keys)
        if reads := sorted({key for call in calls for key in call.reads} - present.keys()):
            present |= dict(raw.execute(SEEN, (reads,)).fetchall())
        stale = [key for key, change in present.items() if change != self._seen.get(key, 0)]
        if stale:
            seen = [self._seen.get(key, 0) for key in stale]
            for queue_id, number, key, at, standing in raw.execute(CHANGED, (stale, seen)).fetchall():
                self._book.enter((queue_id, number, key), None if standing is None else (at, SlotKind(standing)))
        self._seen |= present

    def _lock(self, raw: Connection, keys: Collection[str]) -> dict[str, int]:
        """Lock ledgers, always in the same order, so that two nodes never wait for each other."""
        wanted = sorted(keys)
        locked = dict(raw.execute(LOCK, (wanted,)).fetchall()) if wanted else {}
        if len(locked) < len(wanted):
            raw.execute(MAKE, (wanted,))
            locked = dict(raw.execute(LOCK, (wanted,)).fetchall())
        return locked

    def _write(self, raw: Connection) -> None:
        changes = self._book.changes()
        if not changes:
            return

        number = raw.execute(NEXT).fetchone()[0]
        released = [(number, *key) for key, slot_time in changes.items() if slot_time is None]
        if released:
            raw.executemany(GIVE_BACK, released)
        entered = [
            (*key, *slot_time, number, self._node) for key, slot_time in changes.items() if slot_time is not None
        ]
        if entered:
            raw.executemany(WRITE, entered)

        keys = {key for _, _, key in changes}
        raw.execute(CHANGE, (number, list(keys)))
        self._seen |= dict.fromkeys(keys, number)

    def _sweep(self, old: float) -> Callable[[Connection], None]:
        def operation(raw: Connection) -> None:
            self._book.sweep(old)
            raw.execute(DELETE_OLD, (old,))
            raw.execute(DELETE_UNUSED)

        return operation


def _for(slots: Sequence[Slot], function: Callable[[LedgerBook], Any]) -> _Call:
    keys = {key for slot in slots for key in slot.windows}
    return _Call(function, {(slot.queue_id, slot.number) for slot in slots}, keys)


def _of(queue_id: str, numbers: Iterable[int], function: Callable[[LedgerBook], Any]) -> _Call:
    return _Call(function, {(queue_id, number) for number in numbers})


def _release(book: LedgerBook, entries: Iterable[tuple[str, int]]) -> None:
    for queue_id, number in entries:
        book.release(queue_id, [number])

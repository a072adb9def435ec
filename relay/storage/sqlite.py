"""The store on SQLite: one file, one writing process, group commit."""

import asyncio
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import aiosqlite

from relay.events.event import Event, Kind
from relay.limits.window import Window
from relay.queue.entry import Entry, State
from relay.queue.message import Accepted, Claimed, Message, Settlement
from relay.queue.ports import Change, EntryQuery, LaneRoom, Slot, StoreError, Usage
from relay.reports.ports import Failure, MessageQuery, Story, Tally
from relay.storage import claims, office, opening, queries, reports, suppressions, transactions
from relay.storage.connection import connect_writer, in_thread
from relay.storage.errors import store_error
from relay.storage.lanes import Lanes
from relay.storage.ledgers import Ledgers
from relay.storage.lock import StoreLock
from relay.storage.space import Space
from relay.storage.unsubscribes import Unsubscribes
from relay.storage.writer import Operation, Writer
from relay.suppression.ports import SuppressionQuery
from relay.suppression.suppression import Evidence, Suppression

T = TypeVar("T")

_ROW_COST = 1024


class SqliteStore:
    """Implements QueueStore, QueueOffice, LimitStore, EventStore and StoryStore on one database file.

    Changes go through one writing connection; what operators and reports read goes through a second one and never
    keeps a change waiting.
    """

    def __init__(self, path: Path, reader: aiosqlite.Connection) -> None:
        """Use `open`."""
        self.path = path
        self.boot = uuid.uuid4().hex
        """Names this opening of the store in leases."""
        self._reader = reader
        self._lanes = Lanes()
        self._lock: StoreLock | None = None
        self._connection: aiosqlite.Connection | None = None
        self._writing: Writer | None = None
        self._ledgers: Ledgers | None = None
        self._space: Space | None = None
        self._nobody_suppressed = False
        self.unsubscribe_list = Unsubscribes(self)
        """Implements UnsubscribeStore."""

    @classmethod
    async def open(cls, path: Path, *, now: float, read_only: bool = False) -> Self:
        """Open the database, creating it or upgrading its schema when needed.

        `read_only` looks at a database that another process may be working on. Raises StoreLockedError,
        SchemaError or DamagedError, all StoreErrors that say what to do.
        """
        if read_only:
            return cls(path, await opening.read(path))
        lock = await asyncio.to_thread(opening.take, path)
        try:
            store = cls(path, await opening.read(path))
        except BaseException:
            lock.release()
            raise
        store._lock = lock
        try:
            await store._start(now)
        except BaseException:
            await store.close()
            raise
        return store

    async def _start(self, now: float) -> None:
        self._space = await asyncio.to_thread(Space.at, self.path)
        self._connection = await connect_writer(self.path, self._space.checkpoint_pages)
        self._writing = Writer(self._connection, self.path, self._distrust_lanes)
        self._ledgers = Ledgers(self._writing)
        await self._ledgers.load(now)
        self._nobody_suppressed = await self.read(suppressions.is_empty)
        await self.unsubscribe_list.load()

    def _distrust_lanes(self) -> None:
        self._lanes.stale = True

    async def close(self) -> None:
        """Complete what waits to be written, then close the file and give up the lock. Closing again does nothing."""
        if self._writing is not None:
            await self._writing.close()
        await self._reader.close()
        if self._connection is not None:
            await self._connection.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def check(self) -> None:
        """Return when the store can take messages; raise StoreError saying why not otherwise."""
        if self._writing is None:
            await self.read(lambda raw: raw.execute("PRAGMA user_version").fetchone())
            return
        await self.write(_checked(self._disk, 0, lambda raw: raw.execute("PRAGMA user_version").fetchone()))

    # What the queue needs.

    async def enqueue(self, accepted: Accepted) -> None:
        """Store message, content, entries and events in one transaction."""
        size = len(accepted.content) + _ROW_COST * (1 + len(accepted.entries))
        await self._writer.run(_checked(self._disk, size, transactions.enqueue(self._lanes, accepted)), size)

    async def recover(self, now: float, longest_wait: float) -> int:
        """Void the leases of earlier processes and clamp waits; return how many leases were voided."""
        return await self.write(claims.recover(self._lanes, now, longest_wait, self.boot))

    async def left_in_hand(self, keys: Sequence[tuple[str, int]]) -> Sequence[Claimed]:
        """Return those of the entries that an earlier process still has leased, by message."""
        return await self.read(claims.left_in_hand(keys, self.boot))

    async def claim(self, now: float, room: LaneRoom) -> Sequence[Claimed]:
        """Lease due entries. When the caller is cancelled meanwhile they are given back."""
        claiming = self._writer.submit(claims.claim(self._lanes, now, room, self.boot))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(self._give_back)
            raise

    def _give_back(self, claiming: asyncio.Future[Sequence[Claimed]]) -> None:
        if claiming.cancelled() or claiming.exception() is not None:
            return
        entries = [entry for claimed in claiming.result() for entry in claimed.entries]
        if entries:
            with suppress(StoreError):  # A closed store: the next boot voids the leases.
                self._writer.post(claims.release(self._lanes, entries, self.boot))

    async def next_due(self, busy: Sequence[str]) -> float | None:
        """Return when the next waiting entry outside these lanes is due, None when there is none."""
        return await self.write(claims.next_due(self._lanes, busy))

    async def apply(self, settlements: Sequence[Settlement]) -> None:
        """Write entries, events and reports in one transaction; StateError when an entry is final or unknown."""
        self._nobody_suppressed = self._nobody_suppressed and not any(one.evidence for one in settlements)
        await self.write(transactions.apply(self._lanes, settlements))

    # What operators need.

    async def entries(self, query: EntryQuery) -> Sequence[tuple[Message, Entry]]:
        """Return the entries that match, in order of queue id and number. `domain` is the sending domain."""
        return await self.read(queries.entries(query))

    async def change(self, query: EntryQuery, change: Change) -> Sequence[tuple[Message, Entry]]:
        """Apply the change to every entry that matches and is neither leased nor final, in one transaction."""
        changing = office.changeable(query)
        if changing is None:
            return ()
        keys = await self.read(queries.find(changing))
        return await self.write(office.change(self._lanes, keys, changing, change))

    async def content(self, queue_id: str) -> bytes | None:
        """Return the stored content, None when it was dropped or never was."""
        return await self.read(queries.content(queue_id))

    async def depth(self) -> Mapping[tuple[str, State], int]:
        """Return the number of entries that are not final, by lane and state."""
        return await self.read(queries.depth)

    async def purge(self, before: float) -> int:
        """Forget finished messages created before that time, and what is left of unknown ones, batch by batch."""
        purged = 0
        place = (-1.0, "")
        while True:
            count, place = await self.write(office.purge_messages(before, place))
            purged += count
            if count < office.PURGE_BATCH:
                break
        event: int | None = -1
        while event is not None:
            event = await self.write(office.purge_events(before, event))
        await self.write(suppressions.forget_before(before))
        return purged

    # What limits need.

    async def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> Sequence[float]:
        """Give each slot the earliest time, not before its `at`, that breaks none of its windows."""
        return self._books.reserve(slots, at)

    async def depart(self, slot: Slot, now: float) -> float:
        """Move the slot to `now` when its windows allow that, else to the next free time; return where it is."""
        return self._books.depart(slot, now)

    async def forget(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Give the places of entries back that did not leave."""
        self._books.forget(queue_id, numbers)

    async def keep(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Let what left under these numbers count for good."""
        self._books.keep(queue_id, numbers)

    async def usage(self, windows: Mapping[str, tuple[Window, ...]], now: float) -> Mapping[str, Usage]:
        """Return how the ledgers stand, by key."""
        return self._books.usage(windows, now)

    # What events and reports need.

    async def record(self, events: Sequence[Event]) -> Sequence[Event]:
        """Make the events durable and return them with the addresses of their recipients filled in."""
        return await self._writer.run(transactions.record(events, self.unsubscribe_list), _ROW_COST * len(events))

    async def record_evidence(self, events: Sequence[Event], evidence: Sequence[Evidence]) -> Sequence[Event]:
        """The same, with what the events say against addresses, in one transaction."""
        self._nobody_suppressed = self._nobody_suppressed and not evidence
        recording = transactions.record_evidence(events, evidence, self.unsubscribe_list)
        return await self._writer.run(recording, _ROW_COST * len(events))

    async def stories(self, query: MessageQuery) -> Sequence[Story]:
        """Return the stories of the messages that match, newest first. `domain` is the sending domain."""
        return await self.read(queries.stories(query))

    async def tallies(self, query: MessageQuery) -> Sequence[Tally]:
        """Count the recipients of the messages that match, by destination and state."""
        return await self.read(reports.tallies(query))

    async def failures(self, query: MessageQuery, kinds: Sequence[Kind], category: str = "") -> Sequence[Failure]:
        """Return the events of these kinds of the messages that match, newest first."""
        return await self.read(reports.failures(query, kinds, category))

    # What the suppression list needs.

    async def suppressed(self, addresses: Sequence[str], domain: str, now: float) -> Mapping[str, Suppression]:
        """Return which of the addresses a sending domain must not write to; an empty list is not even asked."""
        if self._nobody_suppressed:
            return {}
        return await self.read(suppressions.among(addresses, domain, now))

    async def suppressions(self, query: SuppressionQuery) -> Sequence[Suppression]:
        """Return the suppressions that match, in order of address and domain."""
        return await self.read(suppressions.find(query))

    async def suppress(self, suppressing: Sequence[Suppression]) -> None:
        """Put addresses on the list."""
        self._nobody_suppressed = self._nobody_suppressed and not suppressing
        await self.write(suppressions.put(suppressing))

    async def unsuppress(self, addresses: Sequence[str], domain: str) -> Sequence[Suppression]:
        """Take addresses off the list; return what was on it."""
        return await self.write(suppressions.take_off(addresses, domain))

    @property
    def _writer(self) -> Writer:
        return self._for_writing(self._writing)

    @property
    def _books(self) -> Ledgers:
        return self._for_writing(self._ledgers)

    @property
    def _disk(self) -> Space:
        return self._for_writing(self._space)

    def _for_writing(self, part: T | None) -> T:
        if part is None:
            raise StoreError(f"{self.path}: the store was opened for reading only")
        return part

    # What tables need that have a module of their own (`storage.database.Database`).

    async def write(self, operation: Operation[T]) -> T:
        """Run an operation in the next transaction; return its value when that is on disk."""
        return await self._writer.run(operation)

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that only reads, beside the writer."""
        try:
            return await in_thread(self._reader, operation)
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error


def _checked(space: Space, size: int, operation: Operation[T]) -> Operation[T]:
    """Return the operation with a look at the space left before it."""

    def operate(raw: sqlite3.Connection) -> T:
        space.check(size)
        return operation(raw)

    return operate

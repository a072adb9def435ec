"""The store on SQLite: one file, one writing process, group commit."""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import aiosqlite

from relay.queue.message import ClaimedBatch, NewMessage, Settlement
from relay.queue.ports import ClaimLimits, StoreError
from relay.storage import claim, queue_writes, suppressions
from relay.storage.database import Connection, Operation
from relay.storage.sqlite import schema
from relay.storage.sqlite.connection import SqliteLink, connect_writer
from relay.storage.sqlite.disk_space import DiskSpace
from relay.storage.sqlite.ledgers import Ledgers
from relay.storage.sqlite.lock import StoreLock
from relay.storage.store import ROW_COST, Store
from relay.storage.writer import Writer

T = TypeVar("T")


class SqliteStore(Store):
    """Implements QueueStore, QueueOffice, LimitStore, EventStore and StoryStore on one database file."""

    def __init__(self, path: Path, reader: aiosqlite.Connection) -> None:
        """Use `open`."""
        super().__init__(str(path), SqliteLink(reader, path))
        self.path = path
        self.boot = uuid.uuid4().hex
        """Names this opening of the store in leases."""
        self._lock: StoreLock | None = None
        self._link: SqliteLink | None = None
        self._space: DiskSpace | None = None

    @classmethod
    async def open(cls, path: Path, *, now: float, read_only: bool = False) -> Self:
        """Open the database, creating it or upgrading its schema when needed.

        `read_only` looks at a database that another process may be working on. Raises StoreLockedError,
        SchemaError or DamagedError, all StoreErrors that say what to do.
        """
        if read_only:
            return cls(path, await schema.read(path))
        lock = await asyncio.to_thread(schema.take, path)
        try:
            store = cls(path, await schema.read(path))
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
        self._space = await asyncio.to_thread(DiskSpace.at, self.path)
        self._link = SqliteLink(await connect_writer(self.path, self._space.checkpoint_pages), self.path)
        self._writing = Writer(self._link, self._distrust_lanes)
        ledgers = Ledgers(self._writing)
        await ledgers.load(now)
        self._ledgers = ledgers
        self._nobody_suppressed = await self.read(suppressions.is_empty)
        await self.unsubscribe_list.load()

    async def close(self) -> None:
        """Complete what waits to be written, then close the file and give up the lock. Closing again does nothing."""
        if self._writing is not None:
            await self._writing.close()
        await self._reading.close()
        if self._link is not None:
            await self._link.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def check(self) -> None:
        """Return when the store can take messages; raise StoreError saying why not otherwise."""
        if self._writing is None:
            await self.read(lambda raw: raw.execute("PRAGMA user_version").fetchone())
            return
        await self.write(self._eased)

    def _eased(self, raw: Connection) -> None:
        self._disk.check_ease()
        raw.execute("PRAGMA user_version").fetchone()

    # What the queue needs.

    async def enqueue(self, accepted: NewMessage) -> None:
        """Store message, content, entries and events in one transaction."""
        size = len(accepted.content) + ROW_COST * (1 + len(accepted.entries))
        await self._writer.run(self._with_room(queue_writes.enqueue(self._lanes, accepted), size), size)

    def _with_room(self, operation: Operation[T], size: int) -> Operation[T]:
        return _checked(self._disk, size, operation)

    async def recover(self, now: float, longest_wait: float) -> int:
        """Void the leases of earlier processes and clamp waits; return how many leases were voided."""
        return await self.write(claim.recover(self._lanes, now, longest_wait, self.boot))

    async def leased_by_previous_run(self, keys: Sequence[tuple[str, int]]) -> Sequence[ClaimedBatch]:
        """Return those of the entries that an earlier process still has leased, by message."""
        return await self.read(claim.left_in_hand(keys, self.boot))

    async def claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        """Lease due entries. When the caller is cancelled meanwhile they are given back."""
        claiming = self._writer.submit(
            claim.claim(self._lanes, now, room, lambda raw: claim.ClaimSource(raw, self.boot))
        )
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(self._give_back)
            raise

    def _give_back(self, claiming: asyncio.Future[Sequence[ClaimedBatch]]) -> None:
        if claiming.cancelled() or claiming.exception() is not None:
            return
        entries = [entry for claimed in claiming.result() for entry in claimed.entries]
        if entries:
            with suppress(StoreError):  # A closed store: the next boot voids the leases.
                self._writer.post(claim.release(self._lanes, entries, self.boot))

    async def apply(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """Write entries, events and reports in one transaction; StateError when an entry is final or unknown."""
        self._nobody_suppressed = self._nobody_suppressed and not any(one.evidence for one in settlements)
        await self.write(queue_writes.apply(self._lanes, settlements))
        return settlements

    async def purge(self, before: float) -> int:
        """Forget finished messages created before that time, and what is left of unknown ones, batch by batch."""
        purged = 0
        place = (-1.0, "")
        while True:
            count, place = await self.write(queue_writes.purge_messages(before, place))
            purged += count
            if count < queue_writes.PURGE_BATCH:
                break
        event: int | None = -1
        while event is not None:
            event = await self.write(queue_writes.purge_events(before, event))
        await self.write(suppressions.forget_before(before))
        return purged

    @property
    def _disk(self) -> DiskSpace:
        return self._for_writing(self._space)


def _checked(space: DiskSpace, size: int, operation: Operation[T]) -> Operation[T]:
    """Return the operation with a look at the space left before it."""

    def operate(raw: Connection) -> T:
        space.check(size)
        return operation(raw)

    return operate

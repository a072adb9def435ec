"""The store on SQLite: one file, one writing process, group commit."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from relay.log import Emit, unlogged
from relay.queue.nodes import NodeShare, NodeState
from relay.storage.database import Connection
from relay.storage.due_lanes import DueLanes
from relay.storage.operations import StoreDatabase
from relay.storage.sqlite import schema
from relay.storage.sqlite.connection import SqliteLink, connect_writer
from relay.storage.sqlite.disk_space import DiskSpace
from relay.storage.sqlite.event_feed import SQLITE_FEED
from relay.storage.sqlite.ledgers import Ledgers
from relay.storage.sqlite.queue_store import SqliteQueueStore
from relay.storage.store import Store
from relay.storage.writer import Writer


class SqliteStore(Store):
    """One database file."""

    queue: SqliteQueueStore

    def __init__(self, reading: SqliteLink, writing: SqliteLink, space: DiskSpace) -> None:
        """Use `open`."""
        lanes = DueLanes()
        self._writer = Writer(writing, lanes.mark_stale)
        self._writing = writing
        self._space = space
        super().__init__(StoreDatabase(reading, self._writer, space), lanes, SQLITE_FEED)
        self.queue = SqliteQueueStore(self.database, lanes, self._writer, self.suppressions)
        self.limits = self._ledgers = Ledgers(self._writer)
        self.nodes = SingleNode()

    @classmethod
    async def open(cls, path: Path, *, now: float, log: Emit = unlogged) -> Self:
        """Open the database, creating it or upgrading its schema when needed.

        Raises StoreLockedError, SchemaError or DamagedError, all StoreErrors that name the remedy.
        """
        async with AsyncExitStack() as opened:
            lock = await asyncio.to_thread(schema.take, path, log)
            opened.callback(lock.release)
            reading = SqliteLink(await schema.read(path), path)
            opened.push_async_callback(reading.close)

            space = await asyncio.to_thread(DiskSpace.at, path)
            writing = SqliteLink(await connect_writer(path, space.checkpoint_pages), path)
            opened.push_async_callback(writing.close)
            # Again, before the writer: the last connection to close empties the log only if it can write.
            opened.push_async_callback(reading.close)

            store = cls(reading, writing, space)
            opened.push_async_callback(store._writer.close)
            await store._load(now)
            store._opened = opened.pop_all()
        return store

    async def _load(self, now: float) -> None:
        await self._ledgers.load(now)
        await self.suppressions.load()
        await self.unsubscribes.load()
        await self.link_blocks.load()

    async def check(self) -> None:
        """Return when the store can accept messages; else raise StoreError with the reason.

        While the disk is full, free pages are given back to it. Those that stay in the file count as space.
        """
        if self._space.is_full:
            self._space.reusable = await self._writing.run(self._writing.give_back_space)
        await self.database.write(self._check)

    def _check(self, raw: Connection) -> None:
        self._space.check_ease()
        raw.execute("PRAGMA user_version").fetchone()


class SingleNode:
    """Implements NodeStore for a store with one process."""

    leads = True
    share = NodeShare()

    async def states(self) -> Sequence[NodeState]:
        """Return no nodes: nothing is shared."""
        return ()

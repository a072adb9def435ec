"""The store on PostgreSQL: several nodes on one database."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self

import psycopg

from relay.clock import Clock, system_clock
from relay.events.ports import StoreError
from relay.log import Emit, unlogged
from relay.storage.audit import AuditReader
from relay.storage.database import Connection
from relay.storage.due_lanes import DueLanes
from relay.storage.operations import ServerSpace, StoreDatabase
from relay.storage.postgres import partitions, schema
from relay.storage.postgres.background import BackgroundTasks
from relay.storage.postgres.connection import PostgresLink, Target
from relay.storage.postgres.errors import store_error
from relay.storage.postgres.event_feed import POSTGRES_FEED
from relay.storage.postgres.heartbeat import Due, Heartbeat, HeartbeatCallbacks, HeartbeatResult, Notifier
from relay.storage.postgres.in_flight import InFlight
from relay.storage.postgres.leases import all_flows
from relay.storage.postgres.ledgers import SharedLedgers
from relay.storage.postgres.nodes import Node, NodeFile, NodeRegistry
from relay.storage.postgres.pooler_check import refuse_transaction_pooler
from relay.storage.postgres.queue_store import PostgresQueueStore
from relay.storage.postgres.reader_pool import ReaderPool
from relay.storage.postgres.restored_dump import renumber_restored
from relay.storage.recent_messages import RecentMessages
from relay.storage.store import Store
from relay.storage.writer import Writer

POLL_INTERVAL = 10.0
"""Seconds between two reads of all lanes, which find work whose notification was lost."""

_PARTITION_POLLS = 360
"""Polls between two rounds of making event partitions ahead: one hour."""


def _nothing() -> None:
    pass


class PostgresStore(Store):
    """One node's access to the database.

    Six connections: one writes, three read, one is for the rate limits, one for heartbeats and notifications.
    """

    queue: PostgresQueueStore
    nodes: NodeRegistry

    def __init__(self, target: Target, node: Node, log: Emit, clock: Clock, on_work: Callable[[], None]) -> None:
        """Use `open`."""
        lanes = self._lanes = DueLanes(all_flows)
        self._link = PostgresLink(target, seeking=True)
        self._readers = ReaderPool(target)
        self._writer = Writer(self._link, lanes.mark_stale)
        super().__init__(StoreDatabase(self._readers, self._writer, ServerSpace()), lanes, POSTGRES_FEED)
        self.audits = AuditReader(self.database, partitions.kept_since)

        self._log = log
        self._clock = clock
        self._on_work = on_work
        self._heartbeat = Heartbeat(
            target, node, HeartbeatCallbacks(self._on_beat, self._on_due, self._on_links), clock
        )
        self._notifier = Notifier(self._readers, node.id)
        self._background = BackgroundTasks()

        self.nodes = NodeRegistry(node.id, self.database)
        self.limits = self._ledgers = SharedLedgers(target, node.id)
        recent = RecentMessages()
        self.queue = PostgresQueueStore(
            self.database,
            lanes,
            recent,
            in_flight=InFlight(self._writer, lanes, self._heartbeat, recent),
            nodes=self.nodes,
            notifier=self._notifier,
            log=log,
        )

    @classmethod
    async def open(
        cls,
        url: str,
        data_dir: Path,
        *,
        now: float,
        log: Emit = unlogged,
        clock: Clock = system_clock,
        on_work: Callable[[], None] = _nothing,
        password: str = "",
        read_password: Callable[[], str] = str,
    ) -> Self:
        """Connect, update the schema, join the other nodes. Raises StoreErrors that name the remedy.

        `on_work` is called when another node enqueued or returned work. `read_password` returns the password that
        is configured now: it is called when a connection fails, as after a change of the password.
        """
        async with AsyncExitStack() as opened:
            file = await asyncio.to_thread(NodeFile, data_dir)
            opened.callback(file.release)
            target = Target(url, password, read_password)
            await refuse_transaction_pooler(target)
            await asyncio.to_thread(schema.prepare, target)

            store = cls(target, file.node_info(), log, clock, on_work)
            opened.push_async_callback(store._close_connections)
            try:
                await store._start(now)
            except psycopg.Error as error:
                raise store_error(error) from error
            store._opened = opened.pop_all()
        return store

    async def _start(self, now: float) -> None:
        await self._heartbeat.start()
        self._notifier.channel = self._heartbeat.channel
        # A long report may lock the table. Partitions exist for weeks ahead, and there is a default one.
        with suppress(StoreError):
            await self.database.write(partitions.make_ahead(now))
        await self.database.write(renumber_restored)
        await self._ledgers.load(now)
        await self.link_blocks.load()
        self.link_blocks.announce = partial(_notify_links, self._heartbeat.link_channel, self.nodes.id)
        self._background.run(self._poll)

    async def _close_connections(self) -> None:
        await self.queue.close()
        await self._background.close()
        await self._notifier.close()
        await self._writer.close()
        await self._ledgers.close()
        await self._heartbeat.stop()
        await self._link.close()
        await self._readers.close()

    async def check(self) -> None:
        """Return when the store can accept messages; else raise StoreError with the reason."""
        await self.database.write(lambda raw: raw.execute("SELECT 1").fetchone())

    def _on_beat(self, beat: HeartbeatResult) -> None:
        clock = self.nodes.update(beat.clocks, renewed=beat.renewed)
        if clock is not None:
            line = "node.clock" if clock.off else "node.clock_corrected"
            self._log(line, node=self.nodes.id, ahead=round(clock.ahead, 1), delivers=clock.works)
        if not beat.renewed:
            self._log("node.lease_lost", node=self.nodes.id, entries=len(self.queue.in_flight))
        for gone, entries in beat.gone.items():
            self._log("node.gone", node=gone, entries=entries)
            self._background.run(partial(self._ledgers.give_back, gone, self._clock()))
        if beat.freed:
            self._on_due(beat.freed)
            self._notifier.notify(beat.freed)

    def _on_due(self, dues: Sequence[Due]) -> None:
        """Note lanes with work; read all lanes when the notification names none."""
        if dues:
            self._lanes.note(dues)
            self._on_work()
        else:
            self._background.run(self._read_lanes)

    def _on_links(self) -> None:
        """Read the blocked links: another node changed them."""
        self._background.run(self._read_links)

    async def _read_links(self) -> None:
        with suppress(StoreError):
            await self.link_blocks.load()

    async def _read_lanes(self) -> None:
        self._lanes.note(await self.database.read(all_flows))
        self._on_work()

    async def _poll(self) -> None:
        for number in count(1):
            await asyncio.sleep(POLL_INTERVAL)
            with suppress(StoreError):
                await self._read_lanes()
                await self.link_blocks.load()
                if number % _PARTITION_POLLS == 0:
                    await self.database.write(partitions.make_ahead(self._clock()))


def _notify_links(channel: str, node: str, raw: Connection) -> None:
    """Notify other nodes of a change of the blocked links, when the transaction is committed."""
    raw.execute("SELECT pg_notify(?, ?)", (channel, f"{node} ")).fetchall()

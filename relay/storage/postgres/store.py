"""`PostgresStore`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self

import psycopg

from relay.clock import system_clock
from relay.events.ports import StoreError
from relay.log import Emit
from relay.queue.entry import Entry, State
from relay.queue.message import ClaimedBatch, Message, NewMessage, Settlement
from relay.queue.nodes import NodeShare, NodeState
from relay.queue.ports import ClaimLimits, EntryChange, EntryQuery
from relay.storage import queries, queue_writes, suppressions
from relay.storage.batcher import Batcher
from relay.storage.due_lanes import DueLanes
from relay.storage.postgres import leases, nodes, partitions, schema
from relay.storage.postgres.connection import BusyError, PostgresLink, ReaderPool, seeking, store_error, with_password
from relay.storage.postgres.heartbeat import Due, Heartbeat, HeartbeatCallbacks, HeartbeatResult, Notifier
from relay.storage.postgres.in_flight import InFlight
from relay.storage.postgres.leases import all_lanes
from relay.storage.postgres.ledgers import SharedLedgers
from relay.storage.queries import EntryKey
from relay.storage.store import ROW_COST, Store
from relay.storage.writer import MAX_WAITING_BYTES, Writer


class BackgroundTasks:
    """Tasks that nobody waits for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin it; a StoreError ends it and is told to nobody."""

        async def errand() -> None:
            with suppress(StoreError):
                await work()

        task = asyncio.create_task(errand())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Leave what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


LOOK_ROUND = 10.0
"""Seconds between two looks at all lanes: they find what no notification told of."""


_UPKEEP_ROUNDS = 360
"""Looks between two times the parts of the events table are made ahead: an hour."""


def _unheard(_: str, /, **__: object) -> None:
    pass


class PostgresStore(Store):
    """Implements QueueStore, QueueOffice, LimitStore, EventStore and StoryStore over a PostgreSQL database.

    Six connections: one that writes, three that read, one for the ledgers of limits, one for the node's pulse.
    """

    def __init__(self, url: str, file: nodes.NodeFile, log: Emit) -> None:
        """Use `open`."""
        super().__init__("storage.url", ReaderPool(url))
        self._file = file
        self._node = file.node_info()
        self._log = log
        self._lanes = DueLanes(all_lanes)
        self._link = PostgresLink(url, seeking=True)
        self._writing = Writer(self._link, self._distrust_lanes)
        self._shared = SharedLedgers(url, self._node.id)
        self._ledgers = self._shared
        self._pulse = Heartbeat(url, self._node, HeartbeatCallbacks(self._on_beat, self._on_due))
        self._notifier = Notifier(self._reading, self._node.id)
        self._hand = InFlight(self._writing, self._lanes, self._pulse)
        self._enqueue = Batcher[NewMessage, None](self._insert)
        self._bringing = 0
        self._errands = BackgroundTasks()
        self._closed = False
        self.live: Sequence[str] = ()
        """The ids of the nodes that live, in order."""
        self._known_at = time.monotonic() + nodes.KNOWN

    @classmethod
    async def open(cls, url: str, data_dir: Path, *, now: float, log: Emit = _unheard, password: str = "") -> Self:
        """Connect, update the schema, join the other nodes. Raises StoreErrors that say what to do."""
        file = await asyncio.to_thread(nodes.NodeFile, data_dir)
        try:
            target = with_password(url, password)
            await asyncio.to_thread(schema.prepare, target)
            store = cls(target, file, log)
        except BaseException:
            file.release()
            raise
        try:
            await store._start(now)
        except BaseException as error:
            await store.close()
            if isinstance(error, psycopg.Error):
                raise store_error(error) from error
            raise
        return store

    async def _start(self, now: float) -> None:
        await self._pulse.start()
        self._notifier.channel = self._pulse.channel
        with suppress(StoreError):  # Others read it for long: there are parts for weeks, and one for the rest.
            await self.write(partitions.make_ahead(now))
        await self._shared.load(now)
        self._errands.run(self._look_round)

    @property
    def leads(self) -> bool:
        """Whether this is the first of the nodes that live: it does for all what is to be done once."""
        return self.live[:1] == [self._node.id]

    @property
    def share(self) -> NodeShare:
        """What of the lanes' connections falls to this node; nothing until all others know of it."""
        if self._node.id not in self.live or (len(self.live) > 1 and time.monotonic() < self._known_at):
            return NodeShare(0, 0)
        return NodeShare(self.live.index(self._node.id), len(self.live))

    @property
    def node(self) -> str:
        """The id of this node."""
        return self._node.id

    async def close(self) -> None:
        """Complete what waits to be written, then close the connections. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._hand.close()
        await self._enqueue.close()
        await self._errands.close()
        await self._notifier.close()
        await self._writer.close()
        await self._shared.close()
        await self._pulse.stop()
        await self._link.close()
        await self._reading.close()
        self._file.release()

    async def check(self) -> None:
        """Return when the store can take messages; raise StoreError saying why not otherwise."""
        await self.write(lambda raw: raw.execute("SELECT 1").fetchone())

    async def nodes(self) -> Sequence[NodeState]:
        """Return the nodes that share the database, and those that did."""
        return await self.read(nodes.states)

    # What the queue needs.

    async def enqueue(self, accepted: NewMessage) -> None:
        """Store message, content, entries and events in one transaction."""
        size = len(accepted.content) + ROW_COST * (1 + len(accepted.entries))
        if self._bringing + size > MAX_WAITING_BYTES > size:
            raise StoreError(f"PostgreSQL is behind: {self._bringing} octets wait to be written; try again soon")
        self._bringing += size
        try:
            await self._enqueue(accepted)
        finally:
            self._bringing -= size
        self._tell(accepted.entries)

    async def _insert(self, batch: Sequence[NewMessage]) -> Sequence[None]:
        await self.write(queue_writes.enqueue(self._lanes, *batch))
        return [None] * len(batch)

    async def recover(self, now: float, longest_wait: float) -> int:
        """Void the leases of our start before and of nodes that are gone, clamp waits; return how many were voided."""
        self._hand.drop_stale()
        freed = await self.write(leases.recover(self._lanes, now, longest_wait, self._node.id))
        self._notifier.tell(freed)
        return len(freed)

    async def shift_clock(self, now: float, step: float, longest_wait: float, lifetime: float) -> None:
        """Follow a wall clock that was set. Forward, one node does it: each would lengthen all lifetimes once more."""
        if step < 0 or self.leads:
            await super().shift_clock(now, step, longest_wait, lifetime)

    async def leased_by_previous_run(self, keys: Sequence[EntryKey]) -> Sequence[ClaimedBatch]:
        """Return those of the entries that our start before still has leased, by message."""
        left = await self.read(leases.left_in_hand(keys, self._node.id))
        for _, held in left:
            self._hand.adopt(held)
        return [claimed for claimed, _ in left]

    async def claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        """Lease due entries, none without a good lease of our own. When the caller is cancelled, give them back."""
        return await self._hand.claim(now, room)

    async def apply(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """Write entries, events and reports; return what was written: without entries another node took over.

        Raises StateError when an entry was not claimed here, or settled before.
        """
        kept = await self._hand.settle(settlements)
        for settlement, written in zip(settlements, kept, strict=True):
            if lost := len(settlement.entries) - len(written.entries):
                self._log("queue.lease_lost", queue_id=settlement.entries[0].queue_id, entries=lost)
            self._tell(written.entries)
            for report in written.reports:
                self._tell(report.entries)
        return kept

    # What operators need.

    async def change(self, query: EntryQuery, change: EntryChange) -> Sequence[tuple[Message, Entry]]:
        """Apply the change to every entry that matches and is neither leased nor final, in one transaction."""
        changing = queue_writes.changeable_query(query)
        if changing is None:
            return ()
        keys = await self.read(queries.find(changing))
        changed = await self.write(leases.locking(keys, queue_writes.apply_change(self._lanes, keys, changing, change)))
        self._tell(entry for _, entry in changed)
        return changed

    async def depth(self) -> Mapping[tuple[str, State], int]:
        """Return the number of entries that are not final, by lane and state; the index on open entries answers it."""
        return await self.read(seeking(queries.depth))

    async def purge(self, before: float) -> int:
        """Forget finished messages created before that time batch by batch, and old events with their parts."""
        purged = 0
        place = (-1.0, "")
        while True:
            deleting = queue_writes.purge_messages(before, place, queue_writes.DELETES_BESIDE_EVENTS)
            number, place = await self.write(deleting)
            purged += number
            if number < queue_writes.PURGE_BATCH:
                break
        with suppress(BusyError):  # Somebody reads it for long: the next purge will do.
            await self.write(partitions.drop_before(before))
        await self.write(suppressions.forget_before(before))
        return purged

    # What is heard from other nodes, and told to them.

    def _tell(self, entries: Iterable[Entry]) -> None:
        if len(self.live) > 1:
            self._notifier.tell((one.lane, one.next_attempt_at) for one in entries if one.state is State.WAITING)

    def _on_beat(self, beat: HeartbeatResult) -> None:
        self.live = beat.live
        if not beat.renewed:
            self._known_at = time.monotonic() + nodes.KNOWN
            self._log("node.lease_lost", node=self._node.id, entries=len(self._hand))
        for gone, entries in beat.gone.items():
            self._log("node.gone", node=gone, entries=entries)
            self._errands.run(partial(self._shared.give_back, gone, system_clock()))
        if beat.freed:
            self._on_due(beat.freed)
            self._notifier.tell(beat.freed)

    def _on_due(self, dues: Sequence[Due]) -> None:
        """Note lanes with work; all are looked at when nobody can say which."""
        if dues:
            self._lanes.note(dues)
            self.on_work()
        else:
            self._errands.run(self._look)

    async def _look(self) -> None:
        self._lanes.note(await self.read(all_lanes))
        self.on_work()

    async def _look_round(self) -> None:
        for number in count(1):
            await asyncio.sleep(LOOK_ROUND)
            with suppress(StoreError):
                await self._look()
                if number % _UPKEEP_ROUNDS == 0:
                    await self.write(partitions.make_ahead(system_clock()))

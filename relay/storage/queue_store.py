"""The part of the queue common to both databases: operator queries and changes, purge, due times."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import BinaryIO, ClassVar, TypeVar

from relay.limits.priority import Flow
from relay.queue.changes import Changed, EntryChange, ReportsOf
from relay.queue.claim_limits import NO_HOLDERS, ClaimLimits, Holders
from relay.queue.entry import Entry, State
from relay.queue.message import ClaimedBatch, Message, NewMessage, Settlement
from relay.queue.nodes import ALL_CONNECTIONS, NodeConnections
from relay.queue.ports import ChangedEntries, Depth, EntryQuery
from relay.storage import claim, content_copy, message_queries, purge, queue_writes, suppressions
from relay.storage.database import Connection, Operation
from relay.storage.due_lanes import DueLanes
from relay.storage.integrity import Unreadable, leaving_out
from relay.storage.message_queries import EntryKey
from relay.storage.operations import ROW_COST, StoreDatabase
from relay.storage.recent_messages import RecentMessages

T = TypeVar("T")


class BaseQueueStore(ABC):
    """Implements QueueStore and QueueAdminStore; claims and settlements differ by database."""

    purged_tables: ClassVar[Sequence[str]]
    """Statements that delete a message, by queue id."""

    def __init__(self, database: StoreDatabase, lanes: DueLanes, recent: RecentMessages) -> None:
        self._database = database
        self._lanes = lanes
        self._recent = recent
        self._unreadable = Unreadable()

    @property
    @abstractmethod
    def can_lease(self) -> bool:
        """Whether this process has a valid lease."""

    def holds(self, entries: Sequence[Entry]) -> bool:
        """Whether this process still has the lease under which it claimed these entries."""
        del entries
        return True

    @abstractmethod
    async def enqueue(self, accepted: NewMessage) -> bool:
        """Store message, content, entries and events; lease the active entries. False if the lease ended meanwhile."""

    @abstractmethod
    async def recover(self, now: float, longest_wait: float) -> int:
        """Void the leases of earlier processes and clamp waits; return how many leases were voided."""

    @abstractmethod
    async def leased_by_previous_run(self, keys: Sequence[EntryKey]) -> Sequence[ClaimedBatch]:
        """Return the entries that an earlier process of this node still has leased, by message."""

    @abstractmethod
    async def claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        """Lease due entries. When the caller is cancelled, they are returned to the queue."""

    @abstractmethod
    async def apply(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """Write entries, events and reports in one transaction; return what was written.

        Raises StateError when an entry is final or unknown.
        """

    async def shift_clock(self, now: float, step: float, longest_wait: float, lifetime: float) -> None:
        """Adapt due times to a wall clock that was stepped by `step` seconds, to `now`."""
        await self._database.write(claim.clock_set(self._lanes, now, step, longest_wait, lifetime))

    async def next_due(
        self,
        busy: Collection[str],
        flows: Collection[Flow] = (),
        connections: NodeConnections = ALL_CONNECTIONS,
        holders: Holders = NO_HOLDERS,
    ) -> float | None:
        """Return the due time of the next waiting entry for this node outside the busy lanes and flows; else None."""
        return await self._database.write(claim.next_due(self._lanes, frozenset(busy), flows, connections, holders))

    async def entries(self, query: EntryQuery) -> Sequence[tuple[Message, Entry]]:
        """Return the entries that match, in order of queue id and number. `domain` is the sending domain."""
        return await self._database.read(message_queries.entries(query))

    async def keys(self, query: EntryQuery) -> Sequence[EntryKey]:
        """Return queue id and number of the entries that match, in this order."""
        return await self._database.read(message_queries.find(query))

    async def states(self, keys: Sequence[EntryKey]) -> Mapping[EntryKey, State]:
        """Return the states of the entries with these keys, without those that were purged."""
        return await self._database.read(message_queries.states(keys))

    async def content(self, queue_id: str) -> bytes | None:
        """Return the stored content, None when there is none."""
        operation = message_queries.content(queue_id, self._unreadable)
        return await leaving_out(lambda: self._database.read(operation))

    async def copy_content(self, queue_id: str, file: BinaryIO) -> str:
        """Write the stored content to the file; return the damage, "" for none."""
        return await self._database.read(content_copy.copy_content(queue_id, file))

    async def depth(self) -> Mapping[tuple[str, State], int]:
        """Return the number of entries that are not final, by lane and state."""
        return await self._database.read(message_queries.depth)

    async def depth_by_time(self, now: float) -> Sequence[Depth]:
        """Return the entries that are not final, by lane, state and whether they are due."""
        return await self._database.read(message_queries.depth_by_time(now))

    async def oldest(self) -> Mapping[str, str]:
        """Return the queue id of the oldest message with a waiting entry, by lane."""
        return await self._database.read(message_queries.oldest)

    async def damaged(self) -> int:
        """Return the number of entries that are held because their stored message is damaged."""
        return await self._database.read(message_queries.damaged)

    async def change(self, query: EntryQuery, change: EntryChange, reports: ReportsOf | None = None) -> ChangedEntries:
        """Apply the change to matching entries that are neither leased nor final, in one transaction with reports."""
        changing = queue_writes.changeable_query(query)
        if changing is None:
            return ChangedEntries()

        # Finding the keys may take long and must not block the writer.
        keys = await self.keys(changing)
        done = await self._changed(keys, changing, change, reports)
        return replace(done, rest=replace(query, after=keys[-1]) if len(keys) == query.limit else None)

    def _composing(self, reports: ReportsOf) -> Callable[[Connection, Changed], Sequence[NewMessage]]:
        """Return the function that composes reports in a transaction, with the contents of the store."""

        def compose(raw: Connection, changed: Changed) -> Sequence[NewMessage]:
            return reports(changed, lambda queue_id: message_queries.content(queue_id, self._unreadable)(raw) or b"")

        return compose

    async def change_keys(
        self, keys: Sequence[EntryKey], change: EntryChange, reports: ReportsOf | None = None
    ) -> ChangedEntries:
        """Apply the change to the entries with these keys that are neither leased nor final, in one transaction."""
        return await self._changed(keys, EntryQuery(states=queue_writes.CHANGEABLE), change, reports)

    async def _changed(
        self, keys: Sequence[EntryKey], query: EntryQuery, change: EntryChange, reports: ReportsOf | None
    ) -> ChangedEntries:
        compose = None if reports is None else self._composing(reports)
        operation = queue_writes.apply_change(self._lanes, keys, query, change, compose)
        done = await leaving_out(lambda: self._database.write(self._locking(keys, operation)))
        self._announce([*(entry for _, entry in done.entries), *(one for made in done.reports for one in made.entries)])
        return done

    async def purge(self, before: float) -> int:
        """Delete finished messages created before that time, and old events, batch by batch.

        Return the number of deleted messages.
        """
        purged, count, place = 0, purge.BATCH, (-1.0, "")
        while count == purge.BATCH:
            batch = purge.purge_messages(before, place, self.purged_tables)
            count, place = await self._database.write(batch)
            purged += count

        await self._purge_events(before)
        await self._database.write(suppressions.forget_before(before))
        return purged

    @abstractmethod
    async def _purge_events(self, before: float) -> None:
        """Delete events from before that time whose messages are deleted."""

    def _locking(self, keys: Sequence[EntryKey], operation: Operation[T]) -> Operation[T]:
        """Lock these entries before the operation reads them, where other nodes could claim them."""
        del keys
        return operation

    def _announce(self, entries: Iterable[Entry]) -> None:
        """Notify other nodes of waiting entries, where there are any."""
        del entries


def size_of(accepted: NewMessage) -> int:
    """Return the octets that storing a message takes."""
    return len(accepted.content) + ROW_COST * (1 + len(accepted.entries))


def active_entries(accepted: NewMessage) -> list[Entry]:
    """Return the entries of a new message that are leased at once."""
    return [entry for entry in accepted.entries if entry.state is State.ACTIVE]

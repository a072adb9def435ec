"""What a store does whichever database it lies in: one writer, one reader, and the operations they run."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from relay.events.event import Event, Kind
from relay.limits.ports import LimitStore, Slot, Usage
from relay.limits.window import Window
from relay.queue.entry import Entry, State
from relay.queue.message import Message, ReturnedMail
from relay.queue.nodes import NodeShare, NodeState
from relay.queue.ports import EntryChange, EntryQuery, StoreError
from relay.reports.ports import Failure, MessageQuery, Story, Tally
from relay.storage import claim, queries, queue_writes, report_queries, suppressions
from relay.storage.database import DriverConnection, Operation, read_transaction
from relay.storage.due_lanes import DueLanes
from relay.storage.unsubscribes import Unsubscribes
from relay.storage.writer import Writer
from relay.suppression.model import Suppression
from relay.suppression.ports import SuppressionQuery

T = TypeVar("T")


ROW_COST = 1024
"""Octets a row is taken to bring, beside its content."""


class Store:
    """The common part of `SqliteStore` and `PostgresStore`.

    Changes go through one writing connection; what operators and reports read goes through a second one and never
    keeps a change waiting.
    """

    def __init__(self, name: str, reading: DriverConnection) -> None:
        """Make it for reading only; whoever opens it for writing adds the rest."""
        self.name = name
        """As the operator knows it: the file, or the URL without its password."""
        self._reading = reading
        self._lanes = DueLanes()
        self._writing: Writer | None = None
        self._ledgers: LimitStore | None = None
        self._nobody_suppressed = False
        self.on_work: Callable[[], None] = _nothing
        """Called when there is work that another node brought or left; on one machine there never is."""
        self.unsubscribe_list = Unsubscribes(self)
        """Implements UnsubscribeStore."""

    async def nodes(self) -> Sequence[NodeState]:
        """Return the nodes that share the store: none, where it belongs to one process."""
        return ()

    @property
    def leads(self) -> bool:
        """Whether this process does what is to be done once for all that share the store."""
        return True

    @property
    def share(self) -> NodeShare:
        """What of the lanes' connections falls to this process: all, unless it is one of several nodes."""
        return NodeShare()

    def part(self, lane: str, most: int) -> int:
        """Return how many of a lane's connections this process may have now."""
        return self.share.of(lane, most)

    def leave_to_others(self, barred: Callable[[str], bool]) -> None:
        """Claim nothing from lanes for which this is true."""
        self._lanes.excluded = barred

    # What tables need that have a module of their own (`storage.database.Database`).

    async def write(self, operation: Operation[T]) -> T:
        """Run an operation in the next transaction; return its value when that is durable."""
        return await self._writer.run(operation)

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that only reads, beside the writer."""
        return await read_transaction(self._reading, operation)

    # What the queue needs.

    async def shift_clock(self, now: float, step: float, longest_wait: float, lifetime: float) -> None:
        """Follow a wall clock that was set by `step` seconds, to `now`."""
        await self.write(claim.clock_set(self._lanes, now, step, longest_wait, lifetime))

    async def next_due(self, busy: Sequence[str]) -> float | None:
        """Return when the next waiting entry outside these lanes is due, None when there is none."""
        return await self.write(claim.next_due(self._lanes, busy))

    # What operators need.

    async def entries(self, query: EntryQuery) -> Sequence[tuple[Message, Entry]]:
        """Return the entries that match, in order of queue id and number. `domain` is the sending domain."""
        return await self.read(queries.entries(query))

    async def change(self, query: EntryQuery, change: EntryChange) -> Sequence[tuple[Message, Entry]]:
        """Apply the change to every entry that matches and is neither leased nor final, in one transaction."""
        changing = queue_writes.changeable_query(query)
        if changing is None:
            return ()
        keys = await self.read(queries.find(changing))
        return await self.write(queue_writes.apply_change(self._lanes, keys, changing, change))

    async def content(self, queue_id: str) -> bytes | None:
        """Return the stored content, None when it was dropped or never was."""
        return await self.read(queries.content(queue_id))

    async def depth(self) -> Mapping[tuple[str, State], int]:
        """Return the number of entries that are not final, by lane and state."""
        return await self.read(queries.depth)

    # What events and reports need.

    async def record(self, events: Sequence[Event]) -> Sequence[Event]:
        """Make the events durable and return them with the addresses of their recipients filled in."""
        return await self._writer.run(queue_writes.record(events, self.unsubscribe_list), ROW_COST * len(events))

    async def record_returned(self, returned: Sequence[ReturnedMail]) -> Sequence[Event]:
        """Make durable what came back and is not known yet, in one transaction; return the events that are new."""
        self._nobody_suppressed = self._nobody_suppressed and not any(one.evidence for one in returned)
        taking = queue_writes.take_back(self._lanes, returned, self.unsubscribe_list)
        size = sum(ROW_COST + sum(len(forward.content) for forward in one.forwards) for one in returned)
        return await self._writer.run(self._with_room(taking, size), size)

    def _with_room(self, operation: Operation[T], size: int) -> Operation[T]:
        """Return the operation with a look at the room left for that many octets before it, where that can be known."""
        del size
        return operation

    async def stories(self, query: MessageQuery) -> Sequence[Story]:
        """Return the stories of the messages that match, newest first. `domain` is the sending domain."""
        return await self.read(queries.stories(query))

    async def tallies(self, query: MessageQuery) -> Sequence[Tally]:
        """Count the recipients of the messages that match, by destination and state."""
        return await self.read(report_queries.tallies(query))

    async def remotes(self, query: MessageQuery) -> Sequence[Tally]:
        """Count the recipients of the messages that match, by the server that answered last and state."""
        return await self.read(report_queries.remotes(query))

    async def failures(
        self, query: MessageQuery, kinds: Sequence[Kind], category: str = "", before: Failure | None = None
    ) -> Sequence[Failure]:
        """Return a page of the events of these kinds of the messages that match, newest first."""
        return await self.read(report_queries.failures(query, kinds, category, before))

    # What the suppression list needs.

    async def suppressed(self, addresses: Sequence[str], domain: str, now: float) -> Mapping[str, Suppression]:
        """Return which of the addresses a sending domain must not write to; an empty list is not even asked."""
        if self._nobody_suppressed:
            return {}
        return await self.read(suppressions.find_suppressed(addresses, domain, now))

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

    # What limits need.

    async def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> Sequence[float]:
        """Give each slot the earliest time, not before its `at`, that breaks none of its windows."""
        return await self._limits.reserve(slots, at)

    async def acquire(self, slot: Slot, now: float) -> float:
        """Move the slot to `now` when its windows allow that, else to the next free time; return where it is."""
        return await self._limits.acquire(slot, now)

    async def release(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Give the places of entries back that did not leave."""
        await self._limits.release(queue_id, numbers)

    async def commit(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Let what left under these numbers count for good."""
        await self._limits.commit(queue_id, numbers)

    async def usage(self, windows: Mapping[str, tuple[Window, ...]], now: float) -> Mapping[str, Usage]:
        """Return how the ledgers stand, by key."""
        return await self._limits.usage(windows, now)

    @property
    def _limits(self) -> LimitStore:
        return self._for_writing(self._ledgers)

    @property
    def _writer(self) -> Writer:
        return self._for_writing(self._writing)

    def _for_writing(self, part: T | None) -> T:
        if part is None:
            raise StoreError(f"{self.name}: the store was opened for reading only")
        return part

    def _distrust_lanes(self) -> None:
        self._lanes.stale = True


def _nothing() -> None:
    pass

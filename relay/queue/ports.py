"""What the queue needs from a store and from delivery. Implemented in `storage` and `delivery`, joined in `app`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.events.event import Event
from relay.events.ports import StoreError
from relay.queue.entry import Entry, State
from relay.queue.message import ClaimedBatch, Message, NewMessage, Settlement
from relay.queue.nodes import ALL_CONNECTIONS, NodeConnections, NodeShare, NodeState
from relay.queue.outcome import Delivered, Outcome
from relay.render.render import Rendering, RenderInput


@dataclass(frozen=True, slots=True)
class ClaimLimits:
    """How many entries a claim may take: in total, by bytes of content, and by lane.

    Recipients of one message in one lane are taken together, as many as one transaction carries, beyond the room.
    """

    entries: int
    content_bytes: int
    per_lane: int
    """For lanes not named in `lanes`."""
    lanes: Mapping[str, int]
    """Free places of the lanes that are in use or paused; 0 takes nothing from them."""
    connections: NodeConnections = ALL_CONNECTIONS
    """Lanes of which this node may open no connection are left to other nodes."""


class QueueStore(Protocol):
    """A durable queue. Every method that changes something returns only when the change is on disk.

    All raise StoreError when the change could not be made; then nothing of it was.
    """

    async def enqueue(self, accepted: NewMessage) -> None:
        """Store message, content, entries and events in one transaction."""

    async def recover(self, now: float, longest_wait: float) -> int:
        """Void the leases of earlier processes and clamp waits a backward clock made too long; return how many.

        Called once, before the first claim. Beyond its release an entry waits at most until `now + longest_wait`.
        """

    async def leased_by_previous_run(self, keys: Sequence[tuple[str, int]]) -> Sequence[ClaimedBatch]:
        """Return those of the entries (queue id, number) that an earlier process of this node still has leased.

        One for each message, in state ACTIVE. Changes nothing: `apply` may settle them before `recover` voids the rest.
        """

    async def shift_clock(self, now: float, step: float, longest_wait: float, lifetime: float) -> None:
        """Follow a wall clock that was set by `step` seconds, to `now`, while this process runs.

        Forward: what was accepted before may live that much longer. Backward: no retry is further away than
        `longest_wait`, and nothing lives for longer than `lifetime` from now, or from its release.
        """

    async def claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        """Lease due entries, oldest due first within a lane and no lane starving another.

        At least one entry is taken when any is due and its lane has room, whatever its size.
        """

    async def next_due(self, busy: Sequence[str], connections: NodeConnections = ALL_CONNECTIONS) -> float | None:
        """Return when the next waiting entry is due that this node may claim, outside the busy lanes; else None."""

    async def apply(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """Write entries, events and reports in one transaction. Contents no entry needs any more are dropped.

        Return what was written: the settlements, without entries whose lease ran out and that another node took over.
        """


@dataclass(frozen=True, slots=True)
class EntryQuery:
    """Which entries an operator means; empty fields match everything. `after` is the last one of the page before."""

    queue_id: str = ""
    recipient: str = ""
    lane: str = ""
    domain: str = ""
    identity: str = ""
    states: tuple[State, ...] = ()
    after: tuple[str, int] = ("", -1)
    limit: int = 1000


EntryChange = Callable[[Message, Entry], tuple[Entry, Sequence[Event]] | None]
"""A pure change an operator asks for: the new entry with its events, or None to leave the entry alone."""


class QueueAdminStore(Protocol):
    """The queue as operators see and change it."""

    async def entries(self, query: EntryQuery) -> Sequence[tuple[Message, Entry]]:
        """Return the entries that match, in order of queue id and number."""

    async def change(self, query: EntryQuery, change: EntryChange) -> Sequence[tuple[Message, Entry]]:
        """Apply the change to every entry that matches and is neither leased nor final, in one transaction.

        Return what was changed, as it is now.
        """

    async def content(self, queue_id: str) -> bytes | None:
        """Return the stored content, None when it was dropped or never was."""

    async def depth(self) -> Mapping[tuple[str, State], int]:
        """Return the number of entries that are not final, by lane and state."""

    async def purge(self, before: float) -> int:
        """Forget messages created before that time whose entries are all final, with entries and events.

        Works in batches that keep no writer waiting; return how many messages went.
        """


@dataclass(frozen=True, slots=True)
class Rendered:
    """What goes out to one or several recipients: the reverse-path and the bytes."""

    reverse_path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class DeliveryJob:
    """Entries of one message with the same rendering, to be delivered together."""

    message: Message
    entries: tuple[Entry, ...]
    render: Callable[[bool], Awaitable[Rendered]]
    """Called with True when the next hop takes 8-bit content (RFC 6152)."""


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """Recipients of one message that a server accepted by one reply to the final dot, at `at` (Unix seconds)."""

    queue_id: str
    numbers: tuple[int, ...]
    outcome: Delivered
    at: float


class DeliveryJournal(Protocol):
    """Keeps accepted deliveries over a crash of the process, until their settlement is durable. Never raises."""

    def record(self, taken: JournalRecord) -> None:
        """Record a delivery, at once and without waiting for a disk."""

    def forget(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Drop the records of entries whose settlement is durable. Entries without a record are ignored."""


class Delivery(Protocol):
    """Makes one mail transaction with a lane's servers."""

    async def deliver(self, lane: str, job: DeliveryJob) -> Sequence[Outcome]:
        """Return one outcome for each entry of the job, in order.

        Accepted entries are in the delivery journal before this returns. Nothing that a server does raises.
        """


class Renderer(Protocol):
    """Renders messages where their size and malice do no harm."""

    async def render(self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        """Return one rendering for each recipient (number of an entry)."""


class QueueObserver(Protocol):
    """Hears of what is nobody's fault but must be seen."""

    def unexpected(self, queue_id: str, error: BaseException) -> None:
        """An attempt raised; the message is deferred."""

    def alert(self, lane: str, category: str, reply: str, guidance: str) -> None:
        """A lane was paused: somebody has to do something."""

    def clock_set(self, step: float) -> None:
        """The wall clock was set by that many seconds; what waits was moved along."""

    def store_trouble(self, error: StoreError) -> None:
        """The store did not answer; what is in hand is kept and tried again."""


class NodeStore(Protocol):
    """The nodes that share a store."""

    @property
    def leads(self) -> bool:
        """Whether this process does the tasks that are done once for all nodes."""

    @property
    def share(self) -> NodeShare:
        """The share of each lane's connections that falls to this process: all, unless it is one of several nodes."""

    async def states(self) -> Sequence[NodeState]:
        """Return the nodes that share the store, and those that did, by host; none where nothing is shared."""

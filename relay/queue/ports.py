"""Protocols that the queue needs. `storage`, `delivery`, `render` and `app` implement them."""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

from relay.content_file import Content
from relay.events.ports import StoreError
from relay.frozen import dataclass
from relay.limits.priority import Flow
from relay.queue.changes import Changed, EntryChange, ReportsOf
from relay.queue.claim_limits import NO_HOLDERS, ClaimLimits, Holders
from relay.queue.entry import Entry, State
from relay.queue.message import ClaimedBatch, Message, NewMessage, Settlement
from relay.queue.nodes import ALL_CONNECTIONS, NodeConnections
from relay.queue.outcome import Delivered, Outcome
from relay.queue.site import Site
from relay.queue.site_rate import RateChange
from relay.render.message import Rendering, RenderInput
from relay.render.renderer import ContentFiles


class RepeatedError(StoreError):
    """A message with the same idempotency key is in the store; this one was not stored."""


class QueueStore(Protocol):
    """A durable queue. A change is on disk when its method returns, and not made at all when it raises StoreError."""

    @property
    def can_lease(self) -> bool:
        """Whether this process has a valid lease: only then may it enqueue active entries."""

    async def enqueue(self, accepted: NewMessage) -> bool:
        """Store message, content, entries and events in one transaction, and lease active entries to this process.

        False: its lease ended meanwhile. The message is stored, and its active entries return to the queue, as they do
        after an error or a cancellation.
        """

    def holds(self, entries: Sequence[Entry]) -> bool:
        """Whether this process still has the lease under which it claimed these entries: else none may leave here."""

    async def recover(self, now: float, longest_wait: float) -> int:
        """Void the leases of earlier processes. Return the number of these entries.

        Called once, before the first claim. No entry waits beyond `now + longest_wait` after its release: the clock may
        have gone back.
        """

    async def leased_by_previous_run(self, keys: Sequence[tuple[str, int]]) -> Sequence[ClaimedBatch]:
        """Return the entries (queue id, number) that are still leased to an earlier process of this node.

        There is one batch for each message. Nothing changes: `apply` may settle them before `recover` voids the others.
        """

    async def shift_clock(self, now: float, step: float, longest_wait: float, lifetime: float) -> None:
        """Adjust times after a step of the wall clock by `step` seconds, to `now`, while this process runs.

        Forward: entries expire that much later, but not later than `lifetime` from now or from their release. Backward:
        no entry expires later than that, and no retry is later than `longest_wait` from now.
        """

    async def claim(self, now: float, limits: ClaimLimits) -> Sequence[ClaimedBatch]:
        """Lease due entries, in turns of the lanes, and of the flows within a lane; oldest due first within a flow.

        No entry is left because of the size of its message. A message that is not stored as it was accepted is claimed
        with its damage, and without content.
        """

    async def copy_content(self, queue_id: str, file: BinaryIO) -> str:
        """Write a content to the file in pieces. Return its damage, "" for none. Raises OSError of the file, too."""

    async def next_due(
        self,
        busy: Collection[str],
        flows: Collection[Flow] = (),
        connections: NodeConnections = ALL_CONNECTIONS,
        holders: Holders = NO_HOLDERS,
    ) -> float | None:
        """Return when the next waiting entry is due that this node may claim; None if none waits.

        Entries of the busy lanes are left out, of these parties and priorities, and those that the holders of a lane
        have there.
        """

    async def apply(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """Write entries, events and reports in one transaction. Contents that no entry needs are deleted.

        Return the settlements as written: without entries whose lease ended and that another node claimed.
        """


@dataclass(frozen=True, slots=True)
class EntryQuery:
    """A query of entries by operators. Empty fields match all. `after` is the last entry of the previous page."""

    queue_id: str = ""
    recipient: str = ""
    lane: str = ""
    domain: str = ""
    identity: str = ""
    domains: tuple[str, ...] = ()
    """Sending domains, any of them."""
    states: tuple[State, ...] = ()
    released_after: float = 0.0
    """Unix seconds: entries with a later release time."""
    after: tuple[str, int] = ("", -1)
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class ChangedEntries:
    """The entries that one call of `QueueAdminStore.change` changed, and the notifications about them."""

    entries: Changed = ()
    reports: Sequence[NewMessage] = ()
    rest: EntryQuery | None = None
    """The query of the matching entries beyond the limit, None when there are none."""


@dataclass(frozen=True, slots=True)
class Depth:
    """The number of entries of a lane in one state, due or not, and the time of the first attempt among them."""

    lane: str
    state: State
    due: bool
    count: int
    first_attempt_at: float


class QueueAdminStore(Protocol):
    """The queue as operators list and change it."""

    async def entries(self, query: EntryQuery) -> Sequence[tuple[Message, Entry]]:
        """Return the entries that match, in order of queue id and number."""

    async def change(self, query: EntryQuery, change: EntryChange, reports: ReportsOf | None = None) -> ChangedEntries:
        """Apply the change to entries that match and are neither leased nor final, in one transaction with reports.

        At most `query.limit` entries are read: the caller repeats the call with `rest` until it is None.
        """

    async def keys(self, query: EntryQuery) -> Sequence[tuple[str, int]]:
        """Return queue id and number of the entries that match, in this order."""

    async def change_keys(
        self, keys: Sequence[tuple[str, int]], change: EntryChange, reports: ReportsOf | None = None
    ) -> ChangedEntries:
        """Apply the change to the entries with these keys that are neither leased nor final, in one transaction."""

    async def states(self, keys: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], State]:
        """Return the states of the entries with these keys, without those that were purged."""

    async def content(self, queue_id: str) -> bytes | None:
        """Return the stored content, None when it was deleted, never stored, or is damaged."""

    async def depth(self) -> Mapping[tuple[str, State], int]:
        """Return the number of entries that are not final, by lane and state."""

    async def depth_by_time(self, now: float) -> Sequence[Depth]:
        """Return the entries that are not final, by lane, state and whether they are due."""

    async def oldest(self) -> Mapping[str, str]:
        """Return the queue id of the oldest message with a waiting entry, by lane. Queue ids sort by arrival."""

    async def damaged(self) -> int:
        """Return the number of entries that are held because their stored message is damaged."""

    async def purge(self, before: float) -> int:
        """Delete messages created before that time whose entries are all final, with entries and events.

        Batches are small, so that writers do not wait. Return the number of messages.
        """


@dataclass(frozen=True, slots=True)
class Rendered:
    """The reverse-path and the content for one or several recipients."""

    reverse_path: str
    content: Content


@dataclass(frozen=True, slots=True)
class DeliveryJob:
    """Entries of one message with the same rendering, to be delivered together."""

    message: Message
    entries: tuple[Entry, ...]
    render: Callable[[bool], Awaitable[Rendered]]
    """Called with True when the next hop accepts 8-bit content (RFC 6152)."""
    admit: Callable[[Site], bool] = lambda _: True
    """Whether the message may leave now. Called with its site when a connection may be opened."""
    is_held: Callable[[], bool] = lambda: True
    """Whether this process still has the lease of the entries. Called before each transaction."""


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """Recipients of one message that a server accepted by one reply to the final dot, at `at` (Unix seconds)."""

    queue_id: str
    numbers: tuple[int, ...]
    outcome: Delivered
    at: float


class DeliveryJournal(Protocol):
    """Keeps accepted deliveries over a crash of the process, until their settlement is durable. Never raises."""

    def record(self, record: JournalRecord) -> None:
        """Record a delivery, without waiting for the disk."""

    def forget(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Drop the records of entries whose settlement is durable. Entries without a record are ignored."""


class Delivery(Protocol):
    """Makes one mail transaction with a lane's servers."""

    def deliver(self, lane: str, job: DeliveryJob) -> Coroutine[Any, Any, Sequence[Outcome]]:
        """Return one outcome for each entry of the job, in order; none at all if it was not admitted, so nothing tried.

        Accepted entries are in the delivery journal before this returns. No reply of a server raises.
        """


class Renderer(Protocol):
    """Renders messages, isolated from the process of the relay where configured."""

    async def render(self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        """Return one rendering for each recipient (number of an entry)."""

    async def render_file(
        self, message: RenderInput, recipient: int, files: ContentFiles, *, eight_bit: bool
    ) -> Rendering:
        """Render a large message, whose content is in a file, into another one. The contents of both values are empty.

        Raises OSError when the file cannot be written.
        """


class QueueObserver(Protocol):
    """Gets reports of events that operators should see."""

    def unexpected(self, queue_id: str, error: BaseException) -> None:
        """An attempt raised an exception; the message is deferred."""

    def alert(self, lane: str, category: str, reply: str, guidance: str) -> None:
        """A lane was paused, and an operator should act."""

    def clock_set(self, step: float) -> None:
        """The wall clock was stepped by that many seconds; the times of waiting entries were shifted."""

    def site_changed(self, change: RateChange) -> None:
        """The rate of a site changed."""

    def settled_plainly(self, queue_id: str, entries: int) -> None:
        """A settlement could not be written as it was; the states of its entries alone are."""

    def store_trouble(self, error: StoreError) -> None:
        """The store failed; entries in flight are kept, and the request is repeated."""

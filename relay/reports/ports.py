"""Protocols of the store for reports, and the values they return."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relay.events.event import Event, Kind
from relay.queue.entry import Entry
from relay.queue.message import Message
from relay.reports.store_audit import AuditedMessage


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """Conditions that messages must meet. An empty field sets none. Times are Unix seconds, `until` is exclusive."""

    queue_id: str = ""
    message_id: str = ""
    """With or without the angle brackets."""
    recipient: str = ""
    since: float = 0.0
    until: float | None = None
    domain: str = ""
    identity: str = ""
    domains: tuple[str, ...] | None = None
    """Mail of one of these sending domains only; None sets no condition."""
    identities: tuple[str, ...] | None = None
    """Mail of one of these identities only; None sets no condition."""
    campaign: bool | None = None
    """True: campaign mail only; False: transactional mail only."""
    campaign_name: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    users_only: bool = False
    """Leaves out mail that the relay made itself, and in counts of recipients the copies (`bcc`)."""
    simulated: bool = True
    """False leaves out sandbox mail, and in counts of recipients those of the simulator."""
    before: tuple[float, str] | None = None
    """Time and queue id of the last message of the page before; None begins with the newest."""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Story:
    """One message with its entries in order and its events by time."""

    message: Message
    entries: tuple[Entry, ...]
    events: tuple[Event, ...]
    """The first and last events of each recipient and kind: anybody can request a pixel without end."""
    late_bounces: Mapping[int, Event] = field(init=False, repr=False, compare=False)
    """The last proven bounce after its delivery, by number of the recipient."""
    last_failures: Mapping[int, Event] = field(init=False, repr=False, compare=False)
    """The last failure, by number of the recipient."""

    def __post_init__(self) -> None:
        """Find what is asked for each recipient, in one pass over the events."""
        failures = {one.number: one for one in self.events if one.kind in _FAILURES}
        late = {one.number: one for one in self.events if _is_late_bounce(one)}
        object.__setattr__(self, "last_failures", failures)
        object.__setattr__(self, "late_bounces", late)


_FAILURES = frozenset({Kind.BOUNCED, Kind.DEFERRED, Kind.DROPPED})


def _is_late_bounce(event: Event) -> bool:
    return event.kind is Kind.BOUNCED and bool(event.data.get("late")) and not event.data.get("unproven")


EventPlace = tuple[float, int]
"""Time and row id of an event, which order the events of a message."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events of a message, by time. `next` is the `after` of the following page, None at the end."""

    events: tuple[Event, ...]
    next: EventPlace | None


class StoryStore(Protocol):
    """Reads messages with their timelines."""

    async def stories(self, query: MessageQuery) -> Sequence[Story]:
        """Return the matching messages, newest first."""

    async def story_page(self, queue_id: str, after: EventPlace | None, limit: int) -> tuple[Story, EventPage] | None:
        """Return the story of a message and at most `limit` of its events that follow the place, of one snapshot.

        `after` None begins with the first event. None: there is no such message.
        """


@dataclass(frozen=True, slots=True)
class Tally:
    """Number of entries of one destination, a recipient domain or a server, in one state."""

    destination: str
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One event of a failure or complaint, with the fields of its message that reports show."""

    kind: Kind
    at: float
    queue_id: str
    number: int
    address: str
    data: Mapping[str, object]
    identity: str = ""
    domain: str = ""
    campaign: str = ""
    subject: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    id: int = 0
    """Row id, which separates events of the same time in paging."""


class ReportStore(Protocol):
    """Reads counts and failures over all matching messages; the limit of the query is ignored."""

    async def tallies(self, query: MessageQuery) -> Sequence[Tally]:
        """Count the recipients of matching messages by recipient domain and state."""

    async def remotes(self, query: MessageQuery) -> Sequence[Tally]:
        """Count the same recipients by state and the server that answered last, "" for none."""

    async def failures(
        self, query: MessageQuery, kinds: Sequence[Kind], category: str = "", before: Failure | None = None
    ) -> Sequence[Failure]:
        """Return a page of events of these kinds (bounced, deferred, complaint), newest first.

        `before` is the last failure of the previous page. An empty page ends the list. A category selects its events;
        `unknown` also selects those that were classified by a code alone.
        """


@dataclass(frozen=True, slots=True)
class CampaignCounts:
    """Numbers of recipients of one campaign, "" for transactional mail. A recipient counts once in each column."""

    campaign: str
    recipients: int = 0
    delivered: int = 0
    """Accepted by the receiving server, also if it bounced later."""
    clicked: int = 0
    opened: int = 0
    """The pixel or a link was requested by a person. A click implies an open, because images may be blocked."""
    machine_clicked: int = 0
    """Links were requested by machines only, such as scanners and previews."""
    machine_opened: int = 0
    """The pixel was requested by machines only, such as scanners and prefetching programs."""
    proxy_opened: int = 0
    """The pixel was requested by the proxy of a mailbox provider, for a reader it does not name, and by no person."""
    replied: int = 0
    """Automatic replies do not count."""
    unsubscribed: int = 0
    complained: int = 0
    came_back: int = 0
    """Bounced after delivery."""


@dataclass(frozen=True, slots=True)
class Click:
    """One click of a person."""

    campaign: str
    queue_id: str
    number: int
    target: str


MAX_CLICKS = 100_000
"""Newest clicks read for the list of links; older ones are counted without their link."""


class EngagementStore(Protocol):
    """Reads the actions of readers over all matching messages; the limit of the query is ignored."""

    async def campaign_counts(self, query: MessageQuery) -> Sequence[CampaignCounts]:
        """Count outcomes and actions of readers by campaign."""

    async def clicks(self, query: MessageQuery) -> Sequence[Click]:
        """Return the clicks of people on links of matching messages, newest first, at most MAX_CLICKS."""


class AuditStore(Protocol):
    """Reads what an audit compares, without delay for writers."""

    async def complete_since(self, retained_since: float) -> float:
        """Return the time since which no event of a stored message is deleted. Events before may be.

        `retained_since` is the time until which the retention deletes.
        """

    async def step(self, after: str) -> tuple[Sequence[AuditedMessage], str | None]:
        """Return the messages of a step of about 500 entries that begins behind that queue id, in order.

        The second value is where the next step begins, None after the last one.
        """

"""What reports need from a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relay.events.event import Event, Kind
from relay.queue.entry import Entry
from relay.queue.message import Message


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """Which messages are meant; empty fields match everything. Times are Unix seconds, `until` is exclusive."""

    queue_id: str = ""
    message_id: str = ""
    """With or without the angle brackets."""
    recipient: str = ""
    since: float = 0.0
    until: float | None = None
    domain: str = ""
    identity: str = ""
    campaign: bool | None = None
    """True: campaign mail only; False: transactional mail only."""
    campaign_name: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of one message: its row, its entries in order, its events by time."""

    message: Message
    entries: tuple[Entry, ...]
    events: tuple[Event, ...]


class StoryStore(Protocol):
    """Answers what happened to a message."""

    async def stories(self, query: MessageQuery) -> Sequence[Story]:
        """Return the stories of the messages that match, newest first."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many entries to one destination (the recipients' domain, or a server) are in one state."""

    destination: str
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One event that tells of a failure or a complaint, with what reports show of its message."""

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
    """Tells events of the same moment apart; it means nothing outside the store."""


class ReportStore(Protocol):
    """Answers questions over many messages. The limit of a query does not hold here."""

    async def tallies(self, query: MessageQuery) -> Sequence[Tally]:
        """Count the recipients of the messages that match, by destination and state."""

    async def remotes(self, query: MessageQuery) -> Sequence[Tally]:
        """Count the same recipients by the server that answered last ("" for none) and state."""

    async def failures(
        self, query: MessageQuery, kinds: Sequence[Kind], category: str = "", before: Failure | None = None
    ) -> Sequence[Failure]:
        """Return a page of the events of these kinds (bounced, deferred, complaint) of the messages that match.

        They come newest first, and `before` is the last of the page before; after the last page comes an empty one.
        With a category only those of that category, with `unknown` those as well that nothing but a code decided.
        """


@dataclass(frozen=True, slots=True)
class CampaignCounts:
    """Recipients of one campaign ("" is transactional mail) by what became of them; each counts once in a column."""

    campaign: str
    recipients: int = 0
    delivered: int = 0
    """The receiving server took it, whatever came back later."""
    clicked: int = 0
    opened: int = 0
    """A person fetched the pixel, or clicked: who clicks has opened, whether images are shown or not."""
    machine_clicked: int = 0
    """Only machines followed links: scanners, previews."""
    machine_opened: int = 0
    """Only machines fetched: proxies that load every image, scanners."""
    replied: int = 0
    """Automatic answers do not count."""
    unsubscribed: int = 0
    complained: int = 0
    came_back: int = 0
    """Bounced after it had been delivered."""


@dataclass(frozen=True, slots=True)
class Click:
    """One click of a person."""

    campaign: str
    queue_id: str
    number: int
    target: str


class EngagementStore(Protocol):
    """Answers what readers did. The limit of a query does not hold here."""

    async def campaign_counts(self, query: MessageQuery) -> Sequence[CampaignCounts]:
        """Count what became of the messages that match, and what their readers did, by campaign."""

    async def clicks(self, query: MessageQuery) -> Sequence[Click]:
        """Return the clicks of people on links of the messages that match, newest first."""

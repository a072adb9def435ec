"""A message in the queue: what the application sent and the policy frozen when it was accepted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from relay.events.event import Event
from relay.mail.lane import DIRECT
from relay.queue.entry import Entry
from relay.rewrite.options import ListUnsubscribe, Tracking
from relay.suppression.model import Evidence


@dataclass(frozen=True, slots=True)
class MessagePolicy:
    """What was decided about a message when it was accepted; later changes of the config do not touch it."""

    domain: str = ""
    """Sending domain: its keys sign, its tracker host is used. "" signs and tracks nothing."""
    identity: str = ""
    """Address of the identity whose limits hold, "" when the From is not listed."""
    tracking: Tracking | None = None
    """None: the message is not rewritten."""
    return_path: str = ""
    """Domain of signed return-paths, "" to keep the application's reverse-path."""
    provider: str = DIRECT
    fallback_providers: tuple[str, ...] = ()
    author_name: str = ""
    """Name put into From when it has none, "" for none."""
    reply_domain: str = ""
    """Domain of signed Reply-To addresses, "" to leave Reply-To as it is."""
    reply_to: tuple[str, ...] = ()
    """Where the application wanted replies, when they come through `reply_domain`."""
    copies: tuple[int, ...] = ()
    """Numbers of the entries that are copies (`bcc`): they show nothing of tracking, and nobody hears of their end."""
    forward_domain: str = ""
    """Domain of the rewritten reverse-path (SRS) of mail that is passed on as it came, "" for applications' mail."""
    list_unsubscribe: ListUnsubscribe | None = None
    """Where readers of a campaign mail unsubscribe; None adds no such fields."""
    added_fields: bytes = b""
    """Header fields put in front when the message is rendered: Received, and Date and Message-ID when missing."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message row. The content is kept apart: it is large, and dropped when every recipient is final."""

    queue_id: str
    created_at: float
    reverse_path: str
    policy: MessagePolicy = field(default_factory=MessagePolicy)
    smtputf8: bool = False
    ret: Literal["", "FULL", "HDRS"] = ""
    envid: str = ""
    size: int = 0
    message_id: str = ""
    header_from: str = ""
    subject: str = ""
    credential: str = ""
    client: str = ""
    campaign: str = ""
    """Name of the campaign; "" marks a transactional message."""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message with its content and entries, ready to be made durable in one transaction with its events."""

    message: Message
    content: bytes
    entries: tuple[Entry, ...]
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class ReturnedMail:
    """What came back about one recipient: made durable whole, or passed over whole when the event is known already."""

    event: Event
    evidence: tuple[Evidence, ...] = ()
    """What it says against addresses."""
    forwards: tuple[NewMessage, ...] = ()
    """The mail itself, on its way to whom it is for."""


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """Entries of one message in one lane, leased to this process for an attempt."""

    message: Message
    content: bytes
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one attempt changes: entries, events and perhaps a DSN, applied in one transaction or not at all."""

    entries: tuple[Entry, ...]
    events: tuple[Event, ...] = ()
    reports: tuple[NewMessage, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    """What speaks for suppressing the recipients."""


ALERT = "alert"
"""Metadata of alerts: the cause, by which they are found again."""

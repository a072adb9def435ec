"""A message in the queue, and the values in which it is enqueued, claimed and settled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from relay.events.event import Event
from relay.queue.entry import Entry
from relay.render.message_policy import MessagePolicy
from relay.suppression.model import Evidence


@dataclass(frozen=True, slots=True)
class Message:
    """One message row. The content is stored separately: it is large, and deleted when every entry is final."""

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
    """A new message with content, entries and events, to be stored in one transaction."""

    message: Message
    content: bytes
    entries: tuple[Entry, ...]
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class ReturnedMail:
    """Returned mail about one recipient. It is stored as a whole, or ignored as a whole when its event is stored."""

    event: Event
    evidence: tuple[Evidence, ...] = ()
    """Evidence against addresses."""
    forwards: tuple[NewMessage, ...] = ()
    """The mail itself, to be forwarded."""


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """Entries of one message in one lane, leased to this process for an attempt."""

    message: Message
    content: bytes
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """The changes of one attempt: entries, events and DSNs, applied in one transaction or not at all."""

    entries: tuple[Entry, ...]
    events: tuple[Event, ...] = ()
    reports: tuple[NewMessage, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    """Evidence for suppressing the recipients."""


ALERT = "alert"
"""Metadata key of alerts. Its value is the cause."""

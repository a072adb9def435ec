"""What reports need from a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relay.events.event import Event
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

"""What comes back needs this of a store."""

from collections.abc import Sequence
from typing import Protocol

from relay.events.event import Event
from relay.queue.message import NewMessage, ReturnedMail
from relay.reports.ports import StoryStore


class InboundStore(StoryStore, Protocol):
    """Knows the messages that were sent, and keeps what came back about them. All raise StoreError."""

    async def record_returned(self, returned: Sequence[ReturnedMail]) -> Sequence[Event]:
        """Make what came back durable in one transaction, each with its evidence and the mail that is passed on.

        What says nothing that an event of the same kind and recipient has not said is passed over whole. Return the
        events that are new, addresses named, those of the mail that is passed on among them.
        """

    async def enqueue(self, accepted: NewMessage) -> None:
        """Store a message that is passed on and belongs to no event."""

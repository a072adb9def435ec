"""What comes back needs this of a store."""

from collections.abc import Sequence
from typing import Protocol

from relay.events.event import Event
from relay.reports.ports import StoryStore
from relay.suppression.suppression import Evidence


class InboundStore(StoryStore, Protocol):
    """Knows the messages that were sent, and keeps what came back about them."""

    async def record_evidence(self, events: Sequence[Event], evidence: Sequence[Evidence]) -> Sequence[Event]:
        """Make events and what they mean for addresses durable in one transaction; return the events, addresses named.

        Raises StoreError when that cannot be done now.
        """

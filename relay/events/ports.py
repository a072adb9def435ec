"""What the events room needs from a store."""

from collections.abc import Sequence
from typing import Protocol

from relay.events.event import Event


class EventStore(Protocol):
    """Keeps events that happen apart from any attempt: opens, clicks, replies, unsubscribes, complaints."""

    async def record(self, events: Sequence[Event]) -> Sequence[Event]:
        """Make the events durable and return them with the addresses of their recipients filled in.

        An event of a message that is not known (any more) is kept all the same: a token vouched for it.
        Raises StoreError of queue.ports when that cannot be done now.
        """

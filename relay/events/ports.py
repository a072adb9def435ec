"""The event store that this package requires."""

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.events.event import Event


class StoreError(Exception):
    """The store could not make a change durable; nothing was changed. `full` for a full disk or an exceeded quota."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class EventStore(Protocol):
    """Stores events that occur outside delivery attempts: opens, clicks, replies, unsubscribes, complaints."""

    async def record(self, events: Sequence[Event]) -> Sequence[Event]:
        """Make the events durable and return them with the addresses of their recipients filled in.

        An event of an unknown or purged message is stored too: its token was valid.
        Raises StoreError when the store cannot write now.
        """


Publish = Callable[[Sequence[Event]], None]
"""Called with events after they are durable: log line, metrics, webhooks. Does not raise."""

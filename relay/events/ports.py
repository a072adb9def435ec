"""What the events room needs from a store."""

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.events.event import Event


class StoreError(Exception):
    """The store could not make a change durable; nothing was changed. `full` when space or a quota ran out."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class EventStore(Protocol):
    """Keeps events that happen apart from any attempt: opens, clicks, replies, unsubscribes, complaints."""

    async def record(self, events: Sequence[Event]) -> Sequence[Event]:
        """Make the events durable and return them with the addresses of their recipients filled in.

        An event of a message that is not known (any more) is kept all the same: a token vouched for it.
        Raises StoreError when that cannot be done now.
        """


Publish = Callable[[Sequence[Event]], None]
"""Called with events after they are durable: log line, metrics, webhooks. Does not raise."""

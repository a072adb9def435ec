"""The event store that this package requires."""

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.events.event import Event


class StoreError(Exception):
    """The store could not make a change durable; nothing was changed. `full` for a full disk or an exceeded quota."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class RejectedError(StoreError):
    """The store works, and cannot hold these values: the change would fail again."""


class EventStore(Protocol):
    """Stores events that occur outside delivery attempts: opens, clicks, replies, unsubscribes, complaints."""

    async def record(self, events: Sequence[Event], *, again: bool = False) -> Sequence[Event]:
        """Make the events durable and return them with the addresses of their recipients filled in.

        An event of an unknown or purged message is stored too: its token was valid. `again` is for events that may be
        in the store, or among these, already: they are recognised by `data["id"]` and neither stored nor returned.
        Raises StoreError when the store cannot write now, and RejectedError when it cannot hold one of them.
        """


Publish = Callable[[Sequence[Event]], None]
"""Called with events after they are durable: log line, metrics, webhooks. Does not raise."""

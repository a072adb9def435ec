"""Protocols of the store that returned mail needs."""

from collections.abc import Sequence
from typing import Protocol

from relay.events.event import Event
from relay.queue.message import ReturnedMail


class ReturnedMailStore(Protocol):
    """Stores returned mail. Raises StoreError."""

    async def record_returned(self, returned: Sequence[ReturnedMail]) -> Sequence[Event]:
        """Store returned mail durably in one transaction, each with its evidence and forwarded messages.

        A mail whose event is already stored for its recipient is skipped. Return the new events, with addresses,
        including those of the forwarded messages.
        """

"""Protocols of the store that returned mail needs."""

from collections.abc import Sequence
from typing import Protocol

from relay.events.event import Event
from relay.queue.message import ReturnedMail


class ReturnedMailStore(Protocol):
    """Keeps returned mail. Raises StoreError."""

    async def record_returned(self, returned: Sequence[ReturnedMail]) -> Sequence[Event]:
        """Make returned mail durable in one transaction, each with its evidence and the mail that is passed on.

        A mail that adds nothing to an event of the same kind and recipient is skipped whole. Return the new events,
        with addresses, those of the mail that is passed on among them.
        """

"""What the pages of the tracker need: the verification with its values, and the unsubscribe state of a recipient."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from relay.suppression.unsubscribes import Subscription


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a code or link confirms. Times are Unix seconds."""

    address: str
    """The identity."""
    sent_to: str
    """Where the code was sent: the address itself, or the mailboxes that read its answers."""
    at: float = 0.0
    """When it was confirmed; 0 if it was not yet."""

    @property
    def verifies(self) -> bool:
        """Whether it verifies the address. A code sent to other mailboxes shows only that answers arrive there."""
        return self.sent_to == self.address


@dataclass(frozen=True, slots=True)
class WrongCode:
    """The code was not the last one sent to the address, or is no longer valid."""


@dataclass(frozen=True, slots=True)
class TooManyRequests:
    """The client, or the address, may ask again at `again_at` (Unix seconds)."""

    again_at: float


@dataclass(frozen=True, slots=True)
class CodeTerms:
    """What a code is and how long it is valid; times in seconds."""

    digits: int
    lifetime: float
    tries: int
    per_hour: int
    """Maximum number of codes sent to an address in an hour."""
    dns_domain: str
    """Addresses at this domain are verified by DNS and get no code; "" for none."""


class AddressVerification(Protocol):
    """Verifies addresses for their owners. All methods but `terms` raise StoreError."""

    def terms(self) -> CodeTerms | None:
        """Return the terms of codes, None if the page that sends them is switched off."""

    async def pending(self, queue_id: str) -> Confirmation | None:
        """Return what the link of that mail confirms or has confirmed, None if it is too old."""

    async def confirm_link(self, queue_id: str) -> Confirmation | None:
        """Confirm by the link of that mail; None if it is too old."""

    async def request_code(self, address: str, client: str) -> TooManyRequests | None:
        """Have a code sent to an address, if it is one that may get it. The result does not depend on that."""

    async def enter_code(self, address: str, code: str, client: str) -> Confirmation | WrongCode | TooManyRequests:
        """Try a code."""


FindSubscription = Callable[[str, int], Awaitable[Subscription | None]]
"""Returns what a recipient, by queue id and number, can unsubscribe from; None if the message is no longer stored.

Raises StoreError.
"""

"""The store of suppressions and unsubscribes that this package requires."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.suppression.model import Suppression, Unproven
from relay.suppression.unsubscribes import CampaignRecipient, Unsubscribe


@dataclass(frozen=True, slots=True)
class SuppressionQuery:
    """A filter of suppressions or unproven evidence; empty fields match everything.

    `after` is the last row of the previous page.
    """

    address: str = ""
    domain: str = ""
    reason: str = ""
    after: tuple[str, str] = ("", "")
    """Address and domain."""
    limit: int = 1000
    domains: tuple[str, ...] = ()
    """Of these sending domains and their identities only."""


class SuppressionStore(Protocol):
    """Stores the suppression list. Addresses are compared in canonical form. All methods raise StoreError."""

    async def unproven(self, query: SuppressionQuery) -> Sequence[Unproven]:
        """Return unproven evidence, in order of address and domain.

        There is one row for each reason. A page has all reasons of its last address, even over `limit`.
        """

    async def suppressed(
        self, addresses: Sequence[str], domain: str, now: float, identity: str = ""
    ) -> Mapping[str, Suppression]:
        """Return the suppressions of addresses for a sending domain and identity, by canonical form.

        They are in force or on probation (`Suppression.state`).
        """

    async def begin_probation(
        self, addresses: Sequence[str], domain: str, queue_id: str, now: float, identity: str = ""
    ) -> Mapping[str, str]:
        """Make this message the one that tests these addresses on probation.

        Return the queue id of another message that tests an address already, by canonical form. The delivery of the
        testing message lifts the suppression, its bounce renews it. If it ends otherwise, the next message tests.
        """

    async def find(self, query: SuppressionQuery) -> Sequence[Suppression]:
        """Return the suppressions that match, in order of address and domain."""

    async def add(self, suppressing: Sequence[Suppression]) -> None:
        """Add addresses to the list, replacing rows of the same address and domain."""

    async def remove(self, addresses: Sequence[str], domain: str) -> Sequence[Suppression]:
        """Remove addresses from the list of that domain ("" is the list for all), with their soft bounce counts.

        Return the removed rows.
        """

    async def limit(self, lengths: Mapping[str, float]) -> None:
        """Give rows without an end one, that many seconds after they were added, by their reason."""


@dataclass(frozen=True, slots=True)
class UnsubscribeQuery:
    """A filter of unsubscribes; empty fields match everything. `after` is the last row of the previous page."""

    address: str = ""
    domain: str = ""
    campaign: str = ""
    source: str = ""
    after: tuple[str, str, str] = ("", "", "")
    """Address, domain and campaign."""
    limit: int = 1000
    domains: tuple[str, ...] = ()
    """Of these sending domains only."""


class UnsubscribeStore(Protocol):
    """Stores the unsubscribe list. Addresses are compared in canonical form. All methods raise StoreError.

    `unsubscribe` events need no call: the transaction that records one also adds its recipient to the list
    (`EventStore.record`, `ReturnedMailStore.record_returned`).
    """

    async def listed(self, addresses: Sequence[str]) -> Mapping[str, Sequence[Unsubscribe]]:
        """Return the unsubscribes of the listed ones of these addresses, the oldest first, by canonical form."""

    async def recipient(self, queue_id: str, number: int) -> CampaignRecipient | None:
        """Return that recipient of that message; None when message or recipient is unknown."""

    async def find(self, query: UnsubscribeQuery) -> Sequence[Unsubscribe]:
        """Return the unsubscribes that match, in order of address, domain and campaign."""

    async def add(self, unsubscribing: Sequence[Unsubscribe]) -> None:
        """Add addresses to the list. Existing rows do not change: the first time counts."""

    async def remove(self, addresses: Sequence[str], domain: str | None, campaign: str | None) -> Sequence[Unsubscribe]:
        """Remove addresses from the list for that domain and campaign ("" matches the stored ""; None matches any).

        Return the removed rows.
        """

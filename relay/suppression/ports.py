"""What the suppression list needs from a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.suppression.model import Suppression
from relay.suppression.unsubscribes import Unsubscribe


@dataclass(frozen=True, slots=True)
class SuppressionQuery:
    """Which suppressions are meant; empty fields match everything. `after` is the last one of the page before."""

    address: str = ""
    domain: str = ""
    reason: str = ""
    after: tuple[str, str] = ("", "")
    """Address and domain."""
    limit: int = 1000


class SuppressionStore(Protocol):
    """Keeps the suppression list. Addresses are compared in their canonical form. All raise StoreError."""

    async def suppressed(self, addresses: Sequence[str], domain: str, now: float) -> Mapping[str, Suppression]:
        """Return which of the addresses a sending domain must not write to, by their canonical form."""

    async def find(self, query: SuppressionQuery) -> Sequence[Suppression]:
        """Return the suppressions that match, in order of address and domain."""

    async def add(self, suppressing: Sequence[Suppression]) -> None:
        """Put addresses on the list, in place of what was there about the same address and domain."""

    async def remove(self, addresses: Sequence[str], domain: str) -> Sequence[Suppression]:
        """Take addresses off the list of that domain ("" is the list for all), with what was counted against them.

        Return what was taken off.
        """


@dataclass(frozen=True, slots=True)
class UnsubscribeQuery:
    """Which unsubscribes are meant; empty fields match everything. `after` is the last one of the page before."""

    address: str = ""
    domain: str = ""
    campaign: str = ""
    source: str = ""
    after: tuple[str, str, str] = ("", "", "")
    """Address, domain and campaign."""
    limit: int = 1000


class UnsubscribeStore(Protocol):
    """Keeps the unsubscribe list. Addresses are compared in their canonical form. All raise StoreError.

    Events of the kind `unsubscribe` need none of this: whoever records one has put its recipient on the list, in the
    same transaction (`EventStore.record`, `ReturnedMailStore.record_returned`).
    """

    async def unsubscribed(
        self, addresses: Sequence[str], domain: str, campaign: str | None
    ) -> Mapping[str, Unsubscribe]:
        """Return which of the addresses want no mail of that domain's campaign, by their canonical form.

        With None for the campaign, whoever left any campaign of the domain.
        """

    async def has_left(self, queue_id: str, number: int) -> bool | None:
        """Tell whether that recipient of that message wants no more of its campaign; None when it is not known."""

    async def find(self, query: UnsubscribeQuery) -> Sequence[Unsubscribe]:
        """Return the unsubscribes that match, in order of address, domain and campaign."""

    async def add(self, unsubscribing: Sequence[Unsubscribe]) -> None:
        """Put addresses on the list. What is on it already stays as it is: the first time is the one that counts."""

    async def remove(self, addresses: Sequence[str], domain: str | None, campaign: str | None) -> Sequence[Unsubscribe]:
        """Take addresses off the list where it says that domain and campaign ("" as it stands there; None: any).

        Return what was taken off.
        """

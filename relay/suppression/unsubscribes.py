"""Unsubscribes: who wants no campaign mail any more, of which campaign, and how we know. Pure, but for the port."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Source = Literal["page", "one-click", "reply", "operator", "import"]
"""How it came: the page's button, the mail program's button (RFC 8058), a mail, an operator, a file of addresses."""

SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """One address that left one campaign, or all of a sending domain. `created_at` is in Unix seconds."""

    address: str
    domain: str = ""
    """The sending domain whose campaign mail is meant; "" for all of them."""
    campaign: str = ""
    """The campaign's name; "" for all campaign mail of the domain."""
    source: Source = "operator"
    queue_id: str = ""
    """The message it came from, "" when it came from none."""
    created_at: float = 0.0

    @property
    def why(self) -> str:
        """Return the reason in words, for the entry that is dropped."""
        of = f" of {self.domain}" if self.domain else ""
        what = f'campaign "{self.campaign}"{of}' if self.campaign else f"all campaign mail{of}"
        return f"unsubscribed from {what} ({self.source})"


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
    """Keeps the unsubscribe list. Addresses are compared in lower case. All raise StoreError.

    Events of the kind `unsubscribe` need none of this: whoever records one has put its recipient on the list, in the
    same transaction (`EventStore.record`, `InboundStore.take_back`).
    """

    async def unsubscribed(
        self, addresses: Sequence[str], domain: str, campaign: str | None
    ) -> Mapping[str, Unsubscribe]:
        """Return which of the addresses want no mail of that domain's campaign, by their normal form.

        With None for the campaign, whoever left any campaign of the domain.
        """

    async def has_left(self, queue_id: str, number: int) -> bool | None:
        """Tell whether that recipient of that message wants no more of its campaign; None when it is not known."""

    async def unsubscribes(self, query: UnsubscribeQuery) -> Sequence[Unsubscribe]:
        """Return the unsubscribes that match, in order of address, domain and campaign."""

    async def unsubscribe(self, unsubscribing: Sequence[Unsubscribe]) -> None:
        """Put addresses on the list. What is on it already stays as it is: the first time is the one that counts."""

    async def resubscribe(
        self, addresses: Sequence[str], domain: str | None, campaign: str | None
    ) -> Sequence[Unsubscribe]:
        """Take addresses off the list where it says that domain and campaign ("" as it stands there; None: any).

        Return what was taken off.
        """

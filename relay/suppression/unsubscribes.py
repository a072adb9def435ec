"""Unsubscribes: who wants no campaign mail any more, of which campaign, and how we know. Pure, but for the port."""

from dataclasses import dataclass
from typing import Literal, get_args

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

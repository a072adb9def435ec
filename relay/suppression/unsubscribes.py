"""Unsubscribes: addresses that left campaigns, and how each one did. Pure."""

from dataclasses import dataclass
from typing import Literal, get_args

Source = Literal["page", "one-click", "reply", "operator", "import"]
"""Source: the page's button, the mail client's button (RFC 8058), a reply, an operator, an imported file."""


SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """One address that left one campaign, or all of a sending domain. `created_at` is in Unix seconds."""

    address: str
    domain: str = ""
    """Sending domain whose campaign mail is meant; "" for all domains."""
    campaign: str = ""
    """The campaign's name; "" for all campaign mail of the domain."""
    source: Source = "operator"
    queue_id: str = ""
    """Queue id of the message it came from, "" for none."""
    created_at: float = 0.0

    @property
    def why(self) -> str:
        """Reason in words, for the dropped entry."""
        of = f" of {self.domain}" if self.domain else ""
        what = f'campaign "{self.campaign}"{of}' if self.campaign else f"all campaign mail{of}"
        return f"unsubscribed from {what} ({self.source})"

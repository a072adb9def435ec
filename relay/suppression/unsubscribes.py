"""Unsubscribes: addresses that left campaigns, and how each one did. Pure."""

from dataclasses import dataclass
from typing import Literal, get_args

from relay.config.senders import Exclusions, UnsubscribeScope

Source = Literal["page", "one-click", "mail", "reply", "operator", "import"]
"""The page's button, the mail program's button (RFC 8058), mail to the address of List-Unsubscribe, a reply, the
operator, an imported file."""

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


@dataclass(frozen=True, slots=True)
class CampaignRecipient:
    """A recipient of a stored message, by address, sending domain and campaign."""

    address: str
    domain: str
    campaign: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """What the reader of a message can unsubscribe from, and whether it has."""

    has_left: bool = False
    reach: UnsubscribeScope = "campaign"


def excludes_from(one: Unsubscribe, exclusions: Exclusions) -> UnsubscribeScope:
    """Return what an unsubscribe excludes from: as its row says, or wider where its domain is set so."""
    if not one.domain:
        return "campaign" if one.campaign else "global"
    configured = exclusions.of(one.domain)
    return configured if one.campaign or configured == "global" else "domain"


def excludes(one: Unsubscribe, domain: str, campaign: str, exclusions: Exclusions) -> bool:
    """Whether an unsubscribe excludes its address from that campaign of that sending domain.

    The wider of both domains' settings counts: that of the mail, and that of the mail from which the address left.
    """
    reach = exclusions.of(domain)
    if reach == "global" or excludes_from(one, exclusions) == "global":
        return True
    if one.domain not in ("", domain):
        return False
    return reach == "domain" or one.campaign in ("", campaign)

"""Exclusion of recipients from a message, by the suppression list and the unsubscribe list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay.suppression.ports import SuppressionStore, UnsubscribeStore


@dataclass(frozen=True, slots=True)
class ExclusionScope:
    """Properties of a message that decide about exclusion."""

    domain: str
    """Sending domain."""
    campaign: str = ""
    """Name of the campaign; "" marks a transactional message, to which unsubscribes do not apply."""
    everywhere: bool = False
    """Whether an unsubscribe from one campaign applies to all campaigns of the domain (`exclusion = "global"`)."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Checks addresses against both lists."""

    suppressions: SuppressionStore
    unsubscribes: UnsubscribeStore

    async def reasons(self, addresses: Sequence[str], mailing: ExclusionScope, now: float) -> Mapping[str, str]:
        """Return the reasons for the excluded addresses, by canonical form. Raises StoreError.

        Suppression takes precedence for an address on both lists.
        """
        suppressed = await self.suppressions.suppressed(addresses, mailing.domain, now)
        reasons = {address: one.why for address, one in suppressed.items()}
        if mailing.campaign:
            campaign = None if mailing.everywhere else mailing.campaign
            unsubscribed = await self.unsubscribes.unsubscribed(addresses, mailing.domain, campaign)
            reasons = {address: one.why for address, one in unsubscribed.items()} | reasons
        return reasons

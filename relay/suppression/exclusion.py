"""Exclusion: who gets nothing of a message, and why, by the suppression list and the unsubscribe list together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay.suppression.ports import SuppressionStore, UnsubscribeStore


@dataclass(frozen=True, slots=True)
class ExclusionScope:
    """What decides about exclusion in a message."""

    domain: str
    """Sending domain."""
    campaign: str = ""
    """Name of the campaign; "" marks a transactional message, which no unsubscribe excludes from."""
    everywhere: bool = False
    """Leaving any campaign of the domain is leaving all of them (`exclusion = "global"`)."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Knows both lists."""

    suppressions: SuppressionStore
    unsubscribes: UnsubscribeStore

    async def reasons(self, addresses: Sequence[str], mailing: ExclusionScope, now: float) -> Mapping[str, str]:
        """Return why each of the addresses that gets nothing gets nothing, by its canonical form. Raises StoreError.

        A list with nobody on it is not read. Who is on both lists is suppressed.
        """
        suppressed = await self.suppressions.suppressed(addresses, mailing.domain, now)
        reasons = {address: one.why for address, one in suppressed.items()}
        if mailing.campaign:
            campaign = None if mailing.everywhere else mailing.campaign
            unsubscribed = await self.unsubscribes.unsubscribed(addresses, mailing.domain, campaign)
            reasons = {address: one.why for address, one in unsubscribed.items()} | reasons
        return reasons

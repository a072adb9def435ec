"""Exclusion of recipients from a message, by the suppression list and the unsubscribe list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
class Excluded:
    """Recipients that get nothing of a message, or nothing yet, by canonical address."""

    reasons: Mapping[str, str] = field(default_factory=dict)
    """Reasons of the excluded ones."""
    testers: Mapping[str, str] = field(default_factory=dict)
    """Queue ids of other messages, which test addresses on probation: this message has to wait for their results."""

    def waits_for(self, address: str) -> str:
        """Return why a message to the canonical address waits, "" if it does not."""
        tester = self.testers.get(address, "")
        return f"the suppression of the address ended: waits for the result of {tester}" if tester else ""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Checks addresses against both lists."""

    suppressions: SuppressionStore
    unsubscribes: UnsubscribeStore

    async def check(
        self, addresses: Sequence[str], mailing: ExclusionScope, queue_id: str, now: float, *, due: bool = True
    ) -> Excluded:
        """Return the addresses that are excluded from this message, or have to wait. Raises StoreError.

        A message that is `due` tests the addresses on probation that no other message tests. Suppression takes
        precedence for an address on both lists.
        """
        listed = await self.suppressions.suppressed(addresses, mailing.domain, now)
        suppressed = {address: one for address, one in listed.items() if one.state(now) == "suppressed"}
        reasons = {address: one.why for address, one in suppressed.items()}
        if mailing.campaign:
            campaign = None if mailing.everywhere else mailing.campaign
            unsubscribed = await self.unsubscribes.unsubscribed(addresses, mailing.domain, campaign)
            reasons = {address: one.why for address, one in unsubscribed.items()} | reasons

        on_probation = [address for address in listed if address not in reasons]
        if not on_probation or not due:
            return Excluded(reasons)
        return Excluded(reasons, await self.suppressions.begin_probation(on_probation, mailing.domain, queue_id, now))

"""Exclusion of recipients from a message, by the suppression list and the unsubscribe list."""

from collections.abc import Mapping, Sequence
from dataclasses import field

from relay.config.senders import Exclusions
from relay.frozen import dataclass
from relay.suppression.ports import SuppressionStore, UnsubscribeStore
from relay.suppression.unsubscribes import Subscription, Unsubscribe, excludes


@dataclass(frozen=True, slots=True)
class ExclusionScope:
    """Properties of a message that decide about exclusion."""

    domain: str
    """Sending domain."""
    campaign: str = ""
    """Name of the campaign; "" marks a transactional message, to which unsubscribes do not apply."""
    exclusions: Exclusions = field(default_factory=Exclusions)
    """The reach of unsubscribes by sending domain."""
    identity: str = ""
    """Identity of the author, "" for none."""


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


NOTHING_EXCLUDED = Excluded()
"""No recipient is excluded, and none waits."""


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
        listed = await self.suppressions.suppressed(addresses, mailing.domain, now, mailing.identity)
        if not (listed or mailing.campaign):
            return NOTHING_EXCLUDED
        suppressed = {address: one for address, one in listed.items() if one.state(now) == "suppressed"}
        reasons = {address: one.why for address, one in suppressed.items()}
        if mailing.campaign:
            reasons = {**await self.unsubscribed(addresses, mailing), **reasons}

        on_probation = [address for address in listed if address not in reasons]
        if not on_probation or not due:
            return Excluded(reasons)
        testers = await self.suppressions.begin_probation(on_probation, mailing.domain, queue_id, now, mailing.identity)
        return Excluded(reasons, testers)

    async def unsubscribed(self, addresses: Sequence[str], mailing: ExclusionScope) -> Mapping[str, str]:
        """Return the reasons of the addresses that unsubscribed from this mailing, by canonical form.

        Of several unsubscribes that exclude an address the oldest is the reason. Raises StoreError.
        """
        listed = await self.unsubscribes.listed(addresses)
        excluding = (
            (address, _reason(one, mailing))
            for address, found in listed.items()
            for one in reversed(found)
            if excludes(one, mailing.domain, mailing.campaign, mailing.exclusions)
        )
        return dict(excluding)

    async def subscription(self, queue_id: str, number: int, exclusions: Exclusions) -> Subscription | None:
        """Return what a recipient of a stored message can unsubscribe from; None when the message is unknown."""
        about = await self.unsubscribes.recipient(queue_id, number)
        if about is None:
            return None
        mailing = ExclusionScope(about.domain, about.campaign, exclusions)
        return Subscription(bool(await self.unsubscribed([about.address], mailing)), exclusions.of(about.domain))


def _reason(one: Unsubscribe, mailing: ExclusionScope) -> str:
    """Return why an unsubscribe excludes, with the setting where its own row does not say so."""
    if excludes(one, mailing.domain, mailing.campaign, Exclusions()):
        return one.why
    reaches = {domain: mailing.exclusions.of(domain) for domain in (mailing.domain, one.domain)}
    decisive = one.domain if one.domain and reaches[one.domain] == "global" else mailing.domain
    return f'{one.why}; exclusion of {decisive} is "{reaches[decisive]}"'

"""The lists of Mailgun's suppressions: bounces, complaints and unsubscribes, as its API reads and changes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal

from relay.mail.canonical_address import canonical
from relay.suppression.model import COMPLAINT, Suppression
from relay.suppression.ports import SuppressionQuery, SuppressionStore, UnsubscribeQuery, UnsubscribeStore
from relay.suppression.unsubscribes import Unsubscribe

ListName = Literal["bounces", "complaints", "unsubscribes"]

REMOVED: Mapping[ListName, str] = {
    "bounces": "Bounced address has been removed",
    "complaints": "Spam complaint has been removed",
    "unsubscribes": "Unsubscribe event has been removed",
}
"""What Mailgun's answers say."""

MISSING: Mapping[ListName, str] = {
    "bounces": "Address not found in bounces table",
    "complaints": "No spam complaints found for this address",
    "unsubscribes": "Address not found in unsubscribers table",
}


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists. `domains` are the sending domains of a request, "" the entries for the mail of all senders."""

    suppressions: SuppressionStore
    unsubscribes: UnsubscribeStore

    async def find(self, name: ListName, address: str, domains: Sequence[str]) -> Mapping[str, object] | None:
        """Return the entry of an address, None if the list has none. Raises StoreError."""
        if name == "unsubscribes":
            left = await self.unsubscribes.find(UnsubscribeQuery(address=canonical(address)))
            return next((_unsubscribe(one) for one in left if one.domain in domains), None)
        found = await self._suppressions(name, address, domains)
        return next(map(_suppression, found), None)

    async def remove(self, name: ListName, address: str, domains: Sequence[str]) -> bool:
        """Remove an address; return whether the list had it. Raises StoreError."""
        if name == "unsubscribes":
            removed = [len(await self.unsubscribes.remove([address], domain, None)) for domain in domains]
            return any(removed)
        found = await self._suppressions(name, address, domains)
        for one in found:
            await self.suppressions.remove([one.address], one.domain)
        return bool(found)

    async def _suppressions(self, name: ListName, address: str, domains: Sequence[str]) -> Sequence[Suppression]:
        found = await self.suppressions.find(SuppressionQuery(address=canonical(address)))
        is_complaint = name == "complaints"
        return [one for one in found if one.domain in domains and (one.reason == COMPLAINT) is is_complaint]


def _suppression(one: Suppression) -> Mapping[str, object]:
    code = next((word for word in one.reply.split()[:1] if word.isdigit()), "550")
    about = {} if one.reason == COMPLAINT else {"code": code, "error": one.reply or one.reason}
    return {"address": one.address, **about, "created_at": _date(one.created_at)}


def _unsubscribe(one: Unsubscribe) -> Mapping[str, object]:
    return {"address": one.address, "tags": [one.campaign or "*"], "created_at": _date(one.created_at)}


def _date(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True).replace("GMT", "UTC")

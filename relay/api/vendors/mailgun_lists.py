"""The lists of Mailgun's suppressions: bounces, complaints and unsubscribes, as its API reads and changes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal

from relay.api.vendors.forms import FormError
from relay.api.vendors.mailgun_events import parse_date
from relay.mail.address import AddressError, parse_address
from relay.mail.canonical_address import canonical
from relay.suppression.model import COMPLAINT, MANUAL, Suppression
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


ROWS = 500
"""Rows read at once."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An address to add. `campaigns` are those it left, "" for all."""

    address: str
    reply: str
    campaigns: tuple[str, ...]
    created_at: float


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

    async def page(
        self, name: ListName, domains: Sequence[str], after: str, limit: int
    ) -> Sequence[Mapping[str, object]]:
        """Return the entries behind an address, in order, one for each address. Raises StoreError."""
        found: dict[str, Mapping[str, object]] = {}
        rows: Sequence[Suppression] | Sequence[Unsubscribe]
        place, more = (after, "", ""), True
        while more and len(found) < limit:
            if name == "unsubscribes":
                rows = await self.unsubscribes.find(UnsubscribeQuery(after=place, limit=ROWS))
                last = (rows[-1].address, rows[-1].domain, rows[-1].campaign) if rows else place
                shown = [(one.address, _unsubscribe(one)) for one in rows if one.domain in domains]
            else:
                rows = await self.suppressions.find(SuppressionQuery(after=place[:2], limit=ROWS))
                last = (rows[-1].address, rows[-1].domain, "") if rows else place
                shown = [(one.address, _suppression(one)) for one in rows if _is_of(one, name, domains)]
            for address, entry in shown:
                if address != after and len(found) < limit:
                    found.setdefault(address, entry)
            place, more = last, len(rows) == ROWS
        return list(found.values())

    async def add(self, name: ListName, entries: Sequence[NewEntry], domains: Sequence[str]) -> None:
        """Add addresses, for the mail of each of these domains. Raises StoreError."""
        if name == "unsubscribes":
            await self.unsubscribes.add(
                [
                    Unsubscribe(one.address, domain, tag, created_at=one.created_at)
                    for one in entries
                    for domain in domains
                    for tag in one.campaigns
                ]
            )
            return
        reason = COMPLAINT if name == "complaints" else MANUAL
        await self.suppressions.add(
            [
                Suppression(
                    one.address, domain, reason, reply=one.reply, created_at=one.created_at, provenance="operator"
                )
                for one in entries
                for domain in domains
            ]
        )

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
        return [one for one in found if _is_of(one, name, domains)]


def _is_of(one: Suppression, name: ListName, domains: Sequence[str]) -> bool:
    return one.domain in domains and (one.reason == COMPLAINT) is (name == "complaints")


def parse_entry(given: object, now: float) -> NewEntry:
    """Return a new entry: address, code, error, created_at, tag or tags. Raises FormError."""
    if not isinstance(given, Mapping):
        raise FormError('an object such as {"address": "ada@example.com"} is expected')
    try:
        address = canonical(str(parse_address(str(given.get("address") or ""))))
    except AddressError as error:
        raise FormError(f"address: {error}; give one such as ada@example.com", "address") from None
    tags = given.get("tags") or [given.get("tag") or "*"]
    if not isinstance(tags, list) or not all(isinstance(one, str) for one in tags):
        raise FormError("tags: a list of texts is expected", "tags")
    texts = (str(given.get(key) or "") for key in ("code", "error"))
    at = parse_date({"created_at": str(given.get("created_at") or "")}, "created_at")
    return NewEntry(address, " ".join(filter(None, texts)), tuple("" if one == "*" else one for one in tags), at or now)


def _suppression(one: Suppression) -> Mapping[str, object]:
    code = next((word for word in one.reply.split()[:1] if word.isdigit()), "550")
    about = {} if one.reason == COMPLAINT else {"code": code, "error": one.reply or one.reason}
    return {"address": one.address, **about, "created_at": _date(one.created_at)}


def _unsubscribe(one: Unsubscribe) -> Mapping[str, object]:
    return {"address": one.address, "tags": [one.campaign or "*"], "created_at": _date(one.created_at)}


def _date(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True).replace("GMT", "UTC")

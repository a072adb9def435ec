"""Suppressed and unsubscribed addresses: who gets no mail, on what evidence?"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from relay.clock import Clock
from relay.config.settings import Settings
from relay.console.csv_export import Row, csv_answer
from relay.console.formats import moment, sentence
from relay.console.layout import Layout
from relay.console.page_urls import page_url
from relay.console.roles import viewer_of
from relay.dsn.categories import CATEGORIES
from relay.mail.queue_id import is_queue_id
from relay.suppression.model import COMPLAINT, MANUAL, Suppression
from relay.suppression.ports import SuppressionQuery, SuppressionStore, UnsubscribeQuery, UnsubscribeStore
from relay.suppression.unsubscribes import excludes_from

PAGE = 50
"""Addresses of a page."""

_AT_ONCE = 1000

_PROVENANCE = {
    "operator": "entered by an operator",
    "import": "imported",
    "session": "replied to this relay",
    "signed-address": "reported to a signed address",
    "report": "an authenticated report",
    "mailbox": "found in the bounce mailbox",
    "cc": "came to a CC tracking address",
}


@dataclass(frozen=True, slots=True)
class SuppressionRow:
    """One suppressed address."""

    one: Suppression
    badge: tuple[str, str]
    evidence: str
    """The reply of the server, or the note of the operator."""
    how: str
    """How the evidence came."""
    until: str
    message: str
    """Queue id of the message that bounced, "" without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionPages:
    """GET /suppressions, /suppressions.csv, /unsubscribes and /unsubscribes.csv."""

    layout: Layout
    settings: Callable[[], Settings]
    suppressions: SuppressionStore
    unsubscribes: UnsubscribeStore
    clock: Clock

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /suppressions?q=&reason=&after=: the suppressed addresses, by address."""
        query = self._suppression_query(request)
        found = await self.suppressions.find(replace(query, limit=PAGE + 1))
        last = found[PAGE - 1] if len(found) > PAGE else None
        filters = {"q": query.address, "reason": query.reason}
        return await self.layout.page(
            request,
            "suppressions.html",
            title="Suppressions",
            rows=[_row(one, self.clock()) for one in found[:PAGE]],
            filters=filters,
            reasons=_reasons(),
            scopes=scopes_of(self.settings(), viewer_of(request).domains),
            older=page_url("/suppressions", filters, after=f"{last.address}/{last.domain}") if last else "",
            export=page_url("/suppressions.csv", filters),
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET /suppressions.csv: the same list, all of it."""
        header = ("address", "domain", "reason", "rule", "reply", "provenance", "queue_id", "created", "expires")

        async def pages() -> AsyncIterator[Iterable[Row]]:
            query = replace(self._suppression_query(request), after=("", ""), limit=_AT_ONCE)
            while found := await self.suppressions.find(query):
                yield [
                    (
                        *(one.address, one.domain, one.reason, one.rule, one.reply, one.provenance),
                        *(one.queue_id, round(one.created_at), round(one.expires_at) or ""),
                    )
                    for one in found
                ]
                query = replace(query, after=(found[-1].address, found[-1].domain))

        return await csv_answer(request, "suppressions", header, pages())

    async def unsubscribed(self, request: web.Request) -> web.StreamResponse:
        """GET /unsubscribes?q=&after=: who left, from what."""
        query = self._unsubscribe_query(request)
        found = await self.unsubscribes.find(replace(query, limit=PAGE + 1))
        last = found[PAGE - 1] if len(found) > PAGE else None
        filters, exclusions = {"q": query.address}, self.settings().exclusions
        after = f"{last.address}/{last.domain}/{last.campaign}" if last else ""
        return await self.layout.page(
            request,
            "unsubscribes.html",
            title="Unsubscribes",
            section="/suppressions",
            rows=[(one, excludes_from(one, exclusions)) for one in found[:PAGE]],
            scopes=scopes_of(self.settings(), viewer_of(request).domains),
            filters=filters,
            older=page_url("/unsubscribes", filters, after=after) if last else "",
            export=page_url("/unsubscribes.csv", filters),
        )

    async def export_unsubscribed(self, request: web.Request) -> web.StreamResponse:
        """GET /unsubscribes.csv: the same list, all of it."""
        header = ("address", "domain", "campaign", "source", "queue_id", "created")

        async def pages() -> AsyncIterator[Iterable[Row]]:
            query = replace(self._unsubscribe_query(request), after=("", "", ""), limit=_AT_ONCE)
            while found := await self.unsubscribes.find(query):
                yield [
                    (one.address, one.domain, one.campaign, one.source, one.queue_id, round(one.created_at))
                    for one in found
                ]
                query = replace(query, after=(found[-1].address, found[-1].domain, found[-1].campaign))

        return await csv_answer(request, "unsubscribes", header, pages())

    def _suppression_query(self, request: web.Request) -> SuppressionQuery:
        given = request.query
        address, _, domain = given.get("after", "").rpartition("/")
        address_of, reason = given.get("q", "").strip(), given.get("reason", "").strip()
        return SuppressionQuery(address_of, "", reason, (address, domain), domains=viewer_of(request).domains)

    def _unsubscribe_query(self, request: web.Request) -> UnsubscribeQuery:
        after = request.query.get("after", "")
        address, _, rest = after.partition("/")
        domain, _, campaign = rest.partition("/")
        domains = viewer_of(request).domains
        return UnsubscribeQuery(request.query.get("q", "").strip(), after=(address, domain, campaign), domains=domains)


def scopes_of(settings: Settings, domains: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Return the sending domains of the form, as values and texts."""
    if domains:
        return [(name, name) for name in domains]
    return [("", "All mail"), *((name, name) for name in settings.domains)]


def _row(one: Suppression, now: float) -> SuppressionRow:
    state = one.state(now)
    if state == "probation":
        until = "Tested by the next message"
    elif one.expires_at:
        until = moment(one.expires_at, now)
    else:
        until = "Removed by hand"
    return SuppressionRow(
        one=one,
        badge=_badge(one.reason),
        evidence=one.reply,
        how=sentence(", ".join(part for part in (_PROVENANCE.get(one.provenance, ""), one.proof) if part)),
        until=until,
        message=one.queue_id if is_queue_id(one.queue_id) else "",
    )


def _badge(reason: str) -> tuple[str, str]:
    if reason == MANUAL:
        return "hold", "By hand"
    if reason == COMPLAINT:
        return "bad", "Complaint"
    about = CATEGORIES.get(reason)
    return ("bad" if about and about.kind == "hard" else "wait"), about.title if about else reason


def _reasons() -> list[tuple[str, str]]:
    named = [(name, about.title) for name, about in CATEGORIES.items() if about.suppression not in ("never", "keep")]
    return [("", "Any"), (MANUAL, "By hand"), (COMPLAINT, "Complaint"), *named]

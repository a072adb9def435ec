"""Bounces: is the rate sound? Which reasons, and what to do about each?"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.clock import Clock
from relay.config.settings import Settings
from relay.console.charts import Bars, Rate, rate
from relay.console.csv_export import Row, csv_answer
from relay.console.figures import BOUNCE_MARKS
from relay.console.formats import counted, number, percent
from relay.console.layout import Layout
from relay.console.page_urls import page_url
from relay.console.roles import viewer_of
from relay.console.time_columns import SPANS, Span, time_columns
from relay.dsn.bounce_rules import Rules
from relay.dsn.categories import CATEGORIES
from relay.dsn.classify import classify
from relay.mail.canonical_address import canonical, domain_of
from relay.reports import build
from relay.reports.ports import MessageQuery, ReportStore
from relay.reports.tallies import BOUNCED, CAMPAIGN, LATE, TallyStore, TallySum, added_up, bounced

LEGEND = (("off", "Refused"), ("wait", "Soft"), ("bad", "Hard"))
"""Hard bounces stand on the base line."""

_PLACES: Mapping[str, int] = {"hard": 2, "soft": 1, "rate": 1}

TYPES = (("", "Any"), ("transactional", "Transactional"), ("campaign", "Campaign"))

MAX_REPLY = 2000
"""Characters of a reply that is tried against the rules, at most."""

_FILTERS = ("span", "domain", "type", "identity")


@dataclass(frozen=True, slots=True)
class Reason:
    """One category of bounces."""

    name: str
    title: str
    count: int
    share: str
    part: float
    kind: str
    """Class of its bar."""
    guidance: Sequence[str]
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncePages:
    """GET /bounces and /bounces.csv."""

    layout: Layout
    settings: Callable[[], Settings]
    tallies: TallyStore
    reports: ReportStore
    rules: Callable[[], Rules]
    clock: Clock

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /bounces?span=&domain=&type=&identity=&reply=: rate, bounces by time, reasons with guidance."""
        filters, span, settings = _filters(request), _span(request), self.settings()
        now, viewer = self.clock(), viewer_of(request)
        since, until = span.window(now)
        sender = canonical(filters["identity"]) if filters["identity"] else filters["domain"]
        senders = (sender,) if sender else viewer.domains
        sums = await self.tallies.sums(since, until, ("delivered", LATE, BOUNCED), senders, span.column)
        found = [one for one in sums if _is_of_type(one, filters["type"])]
        total = added_up(found)
        failed, delivered = bounced(total), max(total.get("delivered", 0) - total.get(LATE, 0), 0)
        reasons = _reasons(total, filters)
        shown = rate("Bounce rate", failed, failed + delivered, BOUNCE_MARKS)
        return await self.layout.page(
            request,
            "bounces.html",
            title="Bounces",
            state=_state(failed, delivered, shown),
            headline=_headline(failed, delivered, span, reasons),
            text=f"{number(failed)} of {counted(failed + delivered, 'recipient')} whose mail left. The mark is 2 %.",
            rate=shown,
            failed=failed,
            chart=_chart(found, span, now),
            span=span,
            reasons=reasons,
            filters=filters,
            spans=[(one.name, one.title) for one in SPANS],
            types=TYPES,
            domains=[("", "Any"), *((name, name) for name in viewer.domains or settings.domains)],
            identities=[("", "Any"), *((one, one) for one in settings.identities if viewer.sees(domain_of(one)))],
            export=page_url("/bounces.csv", filters),
            reply=(reply := request.query.get("reply", "").strip()[:MAX_REPLY]),
            meaning=classify(self.rules(), reply) if reply else None,
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET /bounces.csv: the bounced recipients of the filters, newest first."""
        filters, span = _filters(request), _span(request)
        since, _ = span.window(self.clock())
        query = MessageQuery(
            since=since,
            domain=filters["domain"],
            identity=filters["identity"],
            campaign={"campaign": True, "transactional": False}.get(filters["type"]),
            domains=viewer_of(request).domains or None,
            users_only=True,
        )

        async def pages() -> AsyncIterator[Iterable[Row]]:
            async for page in build.bounced_messages(self.reports, query):
                yield [[str(one[name]) for name in COLUMNS] for one in page]

        return await csv_answer(request, "bounces", COLUMNS, pages())


COLUMNS = ("at", "recipient", "category", "status", "reply", "remote", "identity", "campaign", "subject", "queue_id")
"""Fields of a row of the file."""


def _filters(request: web.Request) -> dict[str, str]:
    """Return the filters. An identity has one domain, so that figures and file take the identity alone.

    Raises 403 for a domain that the viewer does not see.
    """
    filters = {key: request.query.get(key, "").strip() for key in _FILTERS}
    for domain in filter(None, (filters["domain"], domain_of(filters["identity"]))):
        if not viewer_of(request).sees(domain):
            raise web.HTTPForbidden(text=f"{domain} is not among your sending domains.")
    return filters | {"domain": ""} if filters["identity"] else filters


def _span(request: web.Request) -> Span:
    return next((one for one in SPANS if one.name == request.query.get("span")), SPANS[-1])


def _is_of_type(one: TallySum, chosen: str) -> bool:
    return not chosen or one.kind.endswith(CAMPAIGN) is (chosen == "campaign")


def _state(failed: int, delivered: int, shown: Rate) -> str:
    if not failed + delivered:
        return "off"
    return "bad" if shown.kind == "bad" and failed > 1 else "ok"


def _headline(failed: int, delivered: int, span: Span, reasons: Sequence[Reason]) -> str:
    when = span.title.lower().replace("last", "in the last")
    if not failed:
        return f"Nothing bounced {when}."
    first = f" Most: {reasons[0].title.lower()}." if reasons else ""
    return f"{percent(failed, failed + delivered)} bounced {when}.{first}"


def _reasons(total: Mapping[str, int], filters: Mapping[str, str]) -> Sequence[Reason]:
    counts = {kind.removeprefix(BOUNCED): count for kind, count in total.items() if kind.startswith(BOUNCED) and count}
    whole = sum(counts.values())
    return [
        Reason(
            name=name,
            title=CATEGORIES[name].title,
            count=count,
            share=percent(count, whole),
            part=100 * count / whole,
            kind=LEGEND[_PLACES.get(CATEGORIES[name].kind, 0)][0],
            guidance=CATEGORIES[name].guidance,
            href=page_url(
                "/messages",
                {"status": "bounced", "category": name, "from": filters["identity"] or filters["domain"]},
                span={"day": "day", "week": "week"}.get(filters["span"], "month"),
            ),
        )
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _chart(sums: Sequence[TallySum], span: Span, now: float) -> Bars:
    def place(kind: str) -> int | None:
        name = kind.removesuffix(CAMPAIGN)
        return _PLACES.get(CATEGORIES[name.removeprefix(BOUNCED)].kind, 0) if name.startswith(BOUNCED) else None

    return time_columns(f"Bounces, {span.title.lower()}", span, now, LEGEND, sums, place)

"""Sending domains: which records are missing, and what exactly is to be published?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.clock import Clock
from relay.config.settings import Settings
from relay.console.csv_export import csv_answer, one_page
from relay.console.formats import listed, moment, part_of, sentence
from relay.console.layout import Layout
from relay.console.page_urls import path_segment
from relay.console.roles import Viewer, viewer_of
from relay.domains.key_rotation import waiting_keys
from relay.domains.records import DkimKey, WantedRecord, records, remarks, sending_domain
from relay.domains.status import DomainStatus, FoundRecord
from relay.mail.canonical_address import canonical_domain
from relay.reports.tallies import TallyStore

DAY = 86400.0

HEALTH = {"failing": ("bad", "Fails"), "passing": ("ok", "Passes"), "unchecked": ("new", "Not checked")}
"""Class and word of the badge of a domain."""

FOUND = {"ok": ("ok", "Found"), "warning": ("wait", "Not complete"), "wrong": ("bad", "Wrong or missing")}
"""Class and word of the badge of a record."""

ROLES = {
    "dkim": "DKIM",
    "return path": "Return path",
    "spf": "SPF",
    "dmarc": "DMARC",
    "tracking": "Tracking",
    "replies": "Replies",
}

_ORDER = ("wrong", "warning", "", "ok")


@dataclass(frozen=True, slots=True)
class RecordRow:
    """One wanted record with its status: ok, warning, wrong, "" for one without an answer."""

    record: WantedRecord
    status: str
    found: FoundRecord | None = None

    @property
    def badge(self) -> tuple[str, str]:
        """Class and word."""
        return FOUND.get(self.status, ("new", "No answer yet"))

    @property
    def role(self) -> str:
        """What it is for."""
        return ROLES[self.record.role]


@dataclass(frozen=True, slots=True)
class DomainRow:
    """One sending domain."""

    status: DomainStatus
    badge: tuple[str, str]
    roles: Sequence[tuple[str, str]]
    """Class and word of each kind of record, the worst of its records."""
    note: str
    tracking: str
    providers: str
    delivered: int
    """Deliveries of the last 24 hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainPages:
    """GET /domains, /domains.csv and /domains/DOMAIN."""

    layout: Layout
    settings: Callable[[], Settings]
    tallies: TallyStore
    watched: Callable[[], Sequence[DomainStatus]]
    clock: Clock

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /domains: the sending domains, those that fail first."""
        rows = await self._rows(viewer_of(request))
        failing = [one.status.domain for one in rows if one.status.health == "failing"]
        if failing:
            subject = f"{part_of(len(failing), len(rows))} domains" if len(rows) > 1 else "The only domain"
            headline = f"{subject} {'fails' if len(failing) == 1 else 'fail'}: {listed(failing)}."
        else:
            headline = "No domain fails." if rows else "There is no sending domain."
        return await self.layout.page(
            request, "domains.html", title="Domains", rows=rows, headline=headline, state=_state(rows)
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET /domains.csv: the same list."""
        header = ("domain", "state", "note", "tracking", "providers", "delivered_24h", "checked_at")
        rows = [
            (
                *(one.status.domain, one.status.health, one.note, one.tracking, one.providers),
                *(one.delivered, moment(one.status.checked_at)),
            )
            for one in await self._rows(viewer_of(request))
        ]
        return await csv_answer(request, "domains", header, one_page(rows))

    async def one(self, request: web.Request) -> web.StreamResponse:
        """GET /domains/DOMAIN: its records as they should be, its keys and settings."""
        name = canonical_domain(request.match_info["domain"])
        status = next((one for one in self.watched() if one.domain == name), None)
        if status is None or not viewer_of(request).sees(name):
            return await self.layout.error(
                request, 404, f"{name} is no sending domain here", "It is not in the configuration.", state="off"
            )
        settings = self.settings()
        about = sending_domain(settings, name, [DkimKey(one.selector, one.record) for one in status.keys])
        rows = [_record(one, status) for one in records(about)]
        rows.sort(key=lambda one: _ORDER.index(one.status))
        waiting = waiting_keys(status.keys)
        return await self.layout.page(
            request,
            "domain.html",
            title=name,
            found=status,
            badge=HEALTH[status.health],
            headline=_headline(status, rows),
            rows=rows,
            others=_others(status, rows),
            remarks=[sentence(text) for _, text in remarks(about)],
            keys=[(key, *_key_state(key.signing, key in waiting, bool(key.shown_since))) for key in status.keys],
            domain=settings.domain_for(name),
            path=f"/domains/{path_segment(name)}",
            is_looking=request.query.get("looking", "") == repr(status.checked_at),
            tracking=_tracking(settings, name),
            providers=settings.all_providers_for(name),
        )

    async def _rows(self, viewer: Viewer) -> Sequence[DomainRow]:
        settings = self.settings()
        delivered = dict(await self.tallies.domains(self.clock() - DAY))
        rows = [_row(one, settings, delivered) for one in self.watched() if viewer.sees(one.domain)]
        return sorted(
            rows, key=lambda one: (("failing", "unchecked", "passing").index(one.status.health), -one.delivered)
        )


def _record(record: WantedRecord, status: DomainStatus) -> RecordRow:
    label = f"{record.kind} {record.name}"
    return RecordRow(record, status.statuses.get(label, ""), status.found.get(label))


def _row(status: DomainStatus, settings: Settings, delivered: Mapping[str, int]) -> DomainRow:
    keys = [DkimKey(one.selector, one.record) for one in status.keys]
    wanted = records(sending_domain(settings, status.domain, keys))
    of_role: dict[str, set[str]] = {}
    for record in wanted:
        of_role.setdefault(record.role, set()).add(status.statuses.get(f"{record.kind} {record.name}", ""))
    roles = [
        (FOUND.get(min(found, key=_ORDER.index), ("new", ""))[0], ROLES[role])
        for role, found in of_role.items()
        if role in ("spf", "dkim", "dmarc")
    ]
    wrong = [label for label, one in status.statuses.items() if one == "wrong"]
    return DomainRow(
        status=status,
        badge=HEALTH[status.health],
        roles=roles,
        note=f"Wrong or missing: {listed(wrong)}" if wrong else "",
        tracking=_tracking(settings, status.domain),
        providers=listed(settings.all_providers_for(status.domain)),
        delivered=delivered.get(status.domain, 0),
    )


def _tracking(settings: Settings, name: str) -> str:
    tracking = settings.domain_for(name).tracking
    words = [word for on, word in ((tracking.opens, "opens"), (tracking.clicks, "clicks")) if on]
    return listed(words).capitalize() or "Off"


def _state(rows: Sequence[DomainRow]) -> str:
    if any(one.status.health == "failing" for one in rows):
        return "bad"
    return "ok" if rows and all(one.status.health == "passing" for one in rows) else "off"


def _headline(status: DomainStatus, rows: Sequence[RecordRow]) -> str:
    wrong = list(dict.fromkeys(one.role for one in rows if one.status == "wrong"))
    match status.health:
        case "failing":
            return f"{status.domain} fails: {listed(wrong) or 'the domain itself'}."
        case "passing":
            return f"{status.domain} passes."
        case _:
            return f"{status.domain} was not checked yet."


def _others(status: DomainStatus, rows: Sequence[RecordRow]) -> Sequence[str]:
    """Return what else is wrong: the domain itself, and names of the relay."""
    shown = {f"{one.record.kind} {one.record.name}" for one in rows}
    return [label for label, found in status.statuses.items() if found == "wrong" and label not in shown]


def _key_state(signing: bool, waiting: bool, published: bool) -> tuple[str, str]:
    if signing:
        return ("ok", "Signs") if published else ("bad", "Signs, not in DNS")
    return ("wait", "Waits for DNS") if waiting else ("new", "At rest")

"""Providers: which way out works?"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from relay.config.settings import Settings
from relay.console.csv_export import csv_answer, one_page
from relay.console.formats import listed, part_of, time_of_json
from relay.console.layout import Layout
from relay.console.narrowing import providers_of
from relay.console.roles import Viewer, viewer_of
from relay.queue.pause import Pause
from relay.reports.serialize import JsonObject


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """One provider: the fields of the API, and what the page makes of them."""

    json: JsonObject
    badge: tuple[str, str]
    paused_until: float
    free_at: float
    held: str
    """Why an operator paused it, "" if none did."""

    @property
    def is_paused(self) -> bool:
        """Whether nothing leaves by it."""
        return bool(self.held) or self.json["state"] == "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPages:
    """GET /providers and /providers.csv."""

    layout: Layout
    settings: Callable[[], Settings]
    rows: Callable[[], Awaitable[Sequence[JsonObject]]]
    """Returns the providers as the API has them."""
    holds: Callable[[], Sequence[Pause]] = tuple
    """Returns the pauses of operators."""

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /providers: the ways out, with their limits."""
        viewer, settings = viewer_of(request), self.settings()
        rows = await self.found(viewer)
        domains = {name: one for name, one in settings.senders.domains.items() if viewer.sees(name)}
        imap = settings.bounces.imap if not viewer.domains else None
        paused = [str(one.json["name"]) for one in rows if one.is_paused]
        if paused:
            verb = "is" if len(paused) == 1 else "are"
            headline = f"{part_of(len(paused), len(rows))} ways out {verb} paused: {listed(paused)}."
        else:
            headline = "The way out works." if len(rows) == 1 else f"{part_of(len(rows), len(rows))} ways out work."
        return await self.layout.page(
            request,
            "providers.html",
            title="Providers",
            rows=rows,
            headline=headline,
            state="wait" if paused else "ok",
            newsletters=[(name, one.campaign_provider) for name, one in domains.items() if one.campaign_provider],
            mailbox=imap.username if imap else "",
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET /providers.csv: the same list."""
        names = ("name", "host", "state", "why", "hourly_limit", "hourly_used", "daily_limit", "daily_used", "waiting")
        rows = [[one.json[name] for name in names] for one in await self.found(viewer_of(request))]
        return await csv_answer(request, "providers", names, one_page(rows))

    async def found(self, viewer: Viewer) -> Sequence[ProviderRow]:
        """Return the providers, the built-in one first; for a viewer with domains those that their mail may take."""
        held = {one.subject: one.why for one in self.holds()}
        rows = [_row(one, held.get(f"provider:{one['name']}", "")) for one in await self.rows()]
        if not viewer.domains:
            return rows
        own = providers_of(self.settings(), viewer)
        return [replace(one, json=one.json | UNSHOWN) for one in rows if one.json["name"] in own]


UNSHOWN: JsonObject = {"why": "", "hourly_used": None, "daily_used": None, "waiting": None, "free_at": None}
"""What is about mail of all domains: a provider has one limit for them, and replies may name recipients of any."""


def _row(one: JsonObject, held: str) -> ProviderRow:
    is_paused = one["state"] == "paused"
    badge = ("wait", "Paused") if is_paused else ("wait", "In part") if one["why"] else ("ok", "Works")
    badge = ("hold", "Paused") if held else badge
    return ProviderRow(one, badge, time_of_json(one["paused_until"]), time_of_json(one["free_at"]), held)

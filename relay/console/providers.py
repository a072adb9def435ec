"""Providers: which way out works?"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.console.csv_export import csv_answer, one_page
from relay.console.formats import listed, part_of, time_of_json
from relay.console.shell import Shell
from relay.reports.serialize import JsonObject


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """One provider: the fields of the API, and what the page makes of them."""

    json: JsonObject
    badge: tuple[str, str]
    paused_until: float
    free_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPages:
    """GET /providers and /providers.csv."""

    shell: Shell
    rows: Callable[[], Awaitable[Sequence[JsonObject]]]
    """Returns the providers as the API has them."""

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /providers: the ways out, with their limits."""
        rows = await self._rows()
        paused = [str(one.json["name"]) for one in rows if one.json["state"] == "paused"]
        if paused:
            verb = "is" if len(paused) == 1 else "are"
            headline = f"{part_of(len(paused), len(rows))} ways out {verb} paused: {listed(paused)}."
        else:
            headline = "The way out works." if len(rows) == 1 else f"{part_of(len(rows), len(rows))} ways out work."
        return await self.shell.page(
            request, "providers.html", title="Providers", rows=rows, headline=headline, state="wait" if paused else "ok"
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET /providers.csv: the same list."""
        names = ("name", "host", "state", "why", "hourly_limit", "hourly_used", "daily_limit", "daily_used", "waiting")
        rows = [[one.json[name] for name in names] for one in await self._rows()]
        return await csv_answer(request, "providers", names, one_page(rows))

    async def _rows(self) -> Sequence[ProviderRow]:
        return [_row(one) for one in await self.rows()]


def _row(one: JsonObject) -> ProviderRow:
    is_paused = one["state"] == "paused"
    badge = ("wait", "Paused") if is_paused else ("wait", "In part") if one["why"] else ("ok", "Works")
    return ProviderRow(one, badge, time_of_json(one["paused_until"]), time_of_json(one["free_at"]))

"""Identities: who may send, what is left of the limits, which steps are open?"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.clock import Clock
from relay.console.csv_export import csv_answer, one_page
from relay.console.formats import in_words, listed, part_of, time_of_json
from relay.console.identity_tests import IdentityTests
from relay.console.layout import Layout
from relay.console.page_urls import path_segment
from relay.console.roles import Viewer, viewer_of
from relay.mail.canonical_address import canonical, domain_of
from relay.reports.serialize import JsonObject

STEPS = (("sending", "Sending"), ("receiving", "Receiving"), ("tracking", "Tracking"))
"""The steps that every identity needs, with their words."""

STATES = {"passed": ("ok", "Verified"), "failed": ("bad", "Failed"), "pending": ("wait", "Waits")}
"""Class and word of the badge of a step."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the test."""

    name: str
    title: str
    badge: tuple[str, str]
    at: float
    detail: str


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """One identity: the fields of the API, and what the pages make of them."""

    json: JsonObject
    address: str
    badge: tuple[str, str]
    steps: Sequence[Step]
    passed: int
    next_at: float
    """Unix seconds: when the next mail may leave, 0 for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPages:
    """GET /identities, /identities.csv and /identities/ADDRESS."""

    layout: Layout
    rows: Callable[[], Awaitable[Sequence[JsonObject]]]
    """Returns the identities as the API has them."""
    tests: IdentityTests
    clock: Clock

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /identities: all of them, those that need a hand first."""
        rows = await self._rows(viewer_of(request))
        ready = sum(one.badge[0] == "ok" for one in rows)
        open_ones = [one.address for one in rows if one.badge[0] != "ok"]
        if len(rows) > 1:
            headline = f"{part_of(ready, len(rows))} identities {'is' if ready == 1 else 'are'} ready."
        else:
            headline = f"The only identity is {'' if ready else 'not '}ready." if rows else "There is no identity yet."
        text = f"Open: {listed(open_ones)}." if open_ones else ""
        return await self.layout.page(
            request, "identities.html", title="Identities", rows=rows, headline=headline, text=text
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET /identities.csv: the same list."""
        names = (
            "address",
            "display_name",
            "company",
            "hourly_limit",
            "used_hour",
            "daily_limit",
            "used_day",
            "verified",
        )
        rows = [[one.json[name] for name in names] for one in await self._rows(viewer_of(request))]
        return await csv_answer(request, "identities", names, one_page(rows))

    async def one(self, request: web.Request, code: str = "", fault: str = "") -> web.StreamResponse:
        """GET /identities/ADDRESS: its steps, limits and settings. `fault` is what is wrong with a code."""
        address = canonical(request.match_info["address"])
        row = next((one for one in await self._rows(viewer_of(request)) if one.address == address), None)
        if row is None:
            text = f"Add it with: relay identity add {address}"
            return await self.layout.error(request, 404, f"{address} is no identity here", text, state="off")
        left = len(STEPS) - row.passed
        text = f"{in_words(left)} {'step is' if left == 1 else 'steps are'} open" if left else "all steps are verified"
        pending = next((one for one in _stored(row.json) if one["state"] == "pending"), None)
        return await self.layout.page(
            request,
            "identity.html",
            title=address,
            status=400 if fault else 200,
            row=row,
            headline=f"{address}: {text}.",
            one=row.json,
            path=f"/identities/{path_segment(address)}",
            is_running=self.tests.is_running(address),
            results=self.tests.results(address),
            pending=pending,
            code=code,
            fault=fault,
            is_complete="complete" in request.query and not left,
        )

    async def _rows(self, viewer: Viewer) -> Sequence[IdentityRow]:
        rows = [_row(one) for one in await self.rows() if viewer.sees(domain_of(str(one["address"])))]
        return sorted(rows, key=lambda one: (one.badge[0] == "ok", one.address))


def _row(one: JsonObject) -> IdentityRow:
    stored = {str(step["step"]): step for step in _stored(one)}
    steps = [_step(name, title, stored.get(name)) for name, title in STEPS]
    passed = sum(step.badge[0] == "ok" for step in steps)
    return IdentityRow(
        one, str(one["address"]), _badge(one, passed), steps, passed, time_of_json(one["next_release_at"])
    )


def _stored(one: JsonObject) -> Sequence[JsonObject]:
    """Return the steps as the API has them."""
    found = one["steps"]
    assert isinstance(found, list)
    return found


def _step(name: str, title: str, stored: JsonObject | None) -> Step:
    if stored is None:
        return Step(name, title, ("new", "Not tested"), 0.0, "")
    badge = STATES.get(str(stored["state"]), ("new", str(stored["state"])))
    return Step(name, title, badge, time_of_json(stored["at"]), str(stored["detail"]))


def _badge(one: JsonObject, passed: int) -> tuple[str, str]:
    if one["paused_since"]:
        return "hold", "Paused"
    if not one["listed"]:
        return "drop", "Not listed"
    if passed == len(STEPS) or one["verified"]:
        return "ok", "Ready"
    return "wait", "Not verified"

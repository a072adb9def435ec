"""The routes of pauses that operators make: sites, recipient domains, identities, campaigns, providers."""

import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from aiohttp import web

from relay.admin.requests import address_or_400, json_body
from relay.config.settings import Settings
from relay.mail.canonical_address import canonical, canonical_domain
from relay.mail.lane import DIRECT
from relay.queue.pause import HeldKind, Pause
from relay.reports.serialize import JsonObject, time_json

MAX_REASON = 200
"""Characters of the reason of an operator, at most: it stands in lists and events."""

MAX_SECONDS = 366 * 86400.0
"""Seconds of a pause with an end, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRoutes:
    """Lists pauses that hold mail back, begins and ends them."""

    settings: Callable[[], Settings]
    sites: Callable[[], Collection[str]]
    """Names of the sites in use."""
    holds: Callable[[], Sequence[Pause]]
    pause: Callable[[HeldKind, str, float, str], Awaitable[bool]]
    """Pauses a kind and value for some seconds, 0 for no end, with a reason; False if it is paused already."""
    resume: Callable[[HeldKind, str], Awaitable[int | None]]
    """Ends a pause; returns the entries that are due now, None without a pause."""

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/pauses", self.listing),
            web.post("/pauses", self.post_pause),
            web.post("/pauses/resume", self.post_resume),
        ]

    async def listing(self, _: web.Request) -> web.Response:
        """GET /pauses: the pauses in force that hold mail back."""
        return web.json_response({"pauses": [pause_json(one) for one in self.holds()]})

    async def post_pause(self, request: web.Request) -> web.Response:
        """POST /pauses with {"kind", "value", "seconds", "reason"}: accept mail, and hold it until the end."""
        body = await json_body(request)
        kind, value = self._subject(body)
        seconds, reason = body.get("seconds", 0), body.get("reason", "")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_SECONDS:
            raise web.HTTPBadRequest(text=f'"seconds" must be a number from 0 (no end) to {MAX_SECONDS:.0f}')
        if not isinstance(reason, str) or len(reason) > MAX_REASON or not reason.isprintable():
            raise web.HTTPBadRequest(text=f'"reason" must be one line of at most {MAX_REASON} characters')
        paused = await self.pause(kind, value, float(math.ceil(seconds)), reason)
        return web.json_response({"kind": kind, "value": value, "paused": paused})

    async def post_resume(self, request: web.Request) -> web.Response:
        """POST /pauses/resume with {"kind", "value"}: send now what the pause held back."""
        kind, value = self._subject(await json_body(request), is_known=True)
        entries = await self.resume(kind, value)
        return web.json_response(
            {"kind": kind, "value": value, "resumed": entries is not None, "entries": entries or 0}
        )

    def _subject(self, body: dict[str, Any], *, is_known: bool = False) -> tuple[HeldKind, str]:
        """Return kind and value; raise 400 or 404 for others. `is_known`: it may be one that is paused only."""
        kind, value = body.get("kind"), body.get("value")
        if (
            not isinstance(kind, str)
            or kind not in get_args(HeldKind)
            or not isinstance(value, str)
            or not value.strip()
        ):
            raise web.HTTPBadRequest(text=f'"kind" must be one of {", ".join(get_args(HeldKind))}, "value" a text')
        name = _canonical(kind, value.strip())
        if not is_known or f"{kind}:{name}" not in {one.subject for one in self.holds()}:
            self._check_known(kind, name)
        return cast("HeldKind", kind), name

    def _check_known(self, kind: str, name: str) -> None:
        settings = self.settings()
        if kind == "identity" and settings.identity_for(name) is None:
            raise web.HTTPNotFound(text=f"{name} is not an identity; add it with: relay identity add {name}")
        providers = [DIRECT, *(one.name for one in settings.providers)]
        if kind == "provider" and name not in providers:
            raise web.HTTPNotFound(text=f'there is no provider "{name}"; the providers are: {", ".join(providers)}')
        sites = {*self.sites(), *settings.site_profiles.names}
        if kind == "site" and name not in sites:
            raise web.HTTPNotFound(text=f'there is no site "{name}"; `relay site list --all` shows all')


def _canonical(kind: str, value: str) -> str:
    match kind:
        case "identity":
            return canonical(address_or_400(value))
        case "domain":
            return canonical_domain(value)
        case _:
            return value


def pause_json(pause: Pause) -> JsonObject:
    """Return the JSON of a pause that holds mail back."""
    kind, _, value = pause.subject.partition(":")
    return {
        "kind": kind,
        "value": value,
        "since": time_json(pause.at),
        "until": time_json(pause.until),
        "why": pause.why,
        "category": pause.category,
    }

"""The routes of pauses that hold mail back: of sites, recipient domains, senders, campaigns, providers."""

import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from aiohttp import web

from relay.admin.key_audit import audit_change
from relay.admin.requests import APPLICATION, OWNS, address_or_400, json_body, reason_or_400, reject_unknown_parameters
from relay.config.settings import Settings
from relay.mail.canonical_address import canonical, canonical_domain
from relay.mail.lane import DIRECT
from relay.queue.pause import HeldKind, Pause, subject_of
from relay.reports.serialize import JsonObject, time_json

_SENDERS: tuple[HeldKind, ...] = ("identity", "sending-domain")
"""Kinds that an application may pause: the mail of others is not affected."""

MAX_SECONDS = 366 * 86400.0
"""Seconds of a pause with an end, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRoutes:
    """Lists pauses that hold mail back, begins and ends them."""

    settings: Callable[[], Settings]
    sites: Callable[[], Collection[str]]
    """Names of the sites in use."""
    holds: Callable[[], Sequence[Pause]]
    pause: Callable[[HeldKind, str, float, str, str], Awaitable[bool]]
    """Pauses a kind and value for some seconds, 0 for no end, with a reason and the application that asks, "" for an
    operator; False if it is paused already."""
    resume: Callable[[HeldKind, str], Awaitable[int | None]]
    """Ends a pause; returns the entries that are due now, None without a pause."""
    resume_of_application: Callable[[HeldKind, str], Awaitable[int | None]]
    """Ends it if an application made it."""

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/pauses", self.listing),
            web.post("/pauses", self.post_pause),
            web.post("/pauses/resume", self.post_resume),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """GET /pauses: the pauses in force that hold mail back; for an application those of its senders."""
        reject_unknown_parameters(request.query, ())
        rows = [pause_json(one) for one in self.holds()]
        if (owns := request.get(OWNS)) is not None:
            rows = [one for one in rows if one["kind"] in _SENDERS and owns(str(one["value"]))]
        return web.json_response({"pauses": rows})

    async def post_pause(self, request: web.Request) -> web.Response:
        """POST /pauses with {"kind", "value", "seconds", "reason"}: accept mail, and hold it until the end.

        The answer has the reason of the pause in force, which may be another one.
        """
        body = await json_body(request)
        kind, value = self._subject(request, body)
        seconds, reason = body.get("seconds", 0), reason_or_400(body)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_SECONDS:
            raise web.HTTPBadRequest(text=f'"seconds" must be a number from 0 (no end) to {MAX_SECONDS:.0f}')
        paused = await self.pause(kind, value, float(math.ceil(seconds)), reason, request.get(APPLICATION, ""))
        why = self._why(kind, value)
        await audit_change(
            request, "pause.begin", subject_of(kind, value), after=why if paused else f"paused before: {why}"
        )
        return web.json_response({"kind": kind, "value": value, "paused": paused, "why": why})

    async def post_resume(self, request: web.Request) -> web.Response:
        """POST /pauses/resume with {"kind", "value"}: send now what the pause held back.

        An application ends no pause that an operator made, nor one by the bounces and complaints of its mail.
        """
        kind, value = self._subject(request, await json_body(request), is_known=True)
        before = self._why(kind, value)
        entries = await (self.resume_of_application if APPLICATION in request else self.resume)(kind, value)
        if entries is None and APPLICATION in request:
            self._check_ended(kind, value)
        if entries is not None:
            await audit_change(
                request, "pause.end", subject_of(kind, value), before=before, after=f"{entries} recipients are due"
            )
        return web.json_response(
            {"kind": kind, "value": value, "resumed": entries is not None, "entries": entries or 0}
        )

    def _why(self, kind: HeldKind, value: str) -> str:
        """Return the reason of the pause in force, "" without one."""
        return next((one.why for one in self.holds() if one.subject == subject_of(kind, value)), "")

    def _check_ended(self, kind: HeldKind, value: str) -> None:
        """Raise 403 if a pause is left."""
        left = next((one for one in self.holds() if one.subject == subject_of(kind, value)), None)
        if left is not None:
            raise web.HTTPForbidden(text=f"{left.why}; an operator must resume it: relay site resume --{kind} {value}")

    def _subject(self, request: web.Request, body: dict[str, Any], *, is_known: bool = False) -> tuple[HeldKind, str]:
        """Return kind and value; raise 400, 403 or 404 for others. `is_known`: it may be one that is paused only."""
        kind, value = body.get("kind"), body.get("value")
        if (
            not isinstance(kind, str)
            or kind not in get_args(HeldKind)
            or not isinstance(value, str)
            or not value.strip()
        ):
            raise web.HTTPBadRequest(text=f'"kind" must be one of {", ".join(get_args(HeldKind))}, "value" a text')
        name = _canonical(kind, value.strip())
        if (owns := request.get(OWNS)) is not None and not (kind in _SENDERS and owns(name)):
            raise web.HTTPForbidden(text=f'"kind" must be {" or ".join(_SENDERS)}, "value" one of yours')
        if not is_known or f"{kind}:{name}" not in {one.subject for one in self.holds()}:
            self._check_known(kind, name, shows_others=owns is None)
        return cast("HeldKind", kind), name

    def _check_known(self, kind: str, name: str, *, shows_others: bool) -> None:
        """Raise 404 for an unknown one; `shows_others`: with the names of those that there are."""
        settings = self.settings()
        if kind == "identity" and settings.identity_for(name) is None:
            raise web.HTTPNotFound(text=f"{name} is not an identity; add it with: relay identity add {name}")
        if kind == "sending-domain" and name not in map(canonical_domain, settings.domains):
            known = f"; the domains are: {', '.join(settings.domains) or 'none is configured'}" if shows_others else ""
            raise web.HTTPNotFound(text=f"{name} is not a sending domain{known}")
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
        case "domain" | "sending-domain":
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

"""The routes of the pauses of identities."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from relay.admin.key_audit import audit_change
from relay.admin.requests import APPLICATION, address_or_400, optional_json_body, reason_or_400
from relay.config.settings import Settings
from relay.mail.canonical_address import canonical
from relay.queue.pause import BY_APPLICATION, BY_OPERATOR, Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPauseRoutes:
    """Pauses and resumes identities."""

    settings: Callable[[], Settings]
    pause: Callable[[str, str, str], Awaitable[bool]]
    """Pauses a canonical address, with cause and reason; False if it is paused already."""
    resume: Callable[[str], Awaitable[int | None]]
    """Ends the pause of a canonical address; returns the entries it held back, None without a pause."""
    resume_of_application: Callable[[str], Awaitable[int | None]]
    """Ends it if an application made it. The rates of bounces and complaints go on."""
    pauses: Callable[[], Mapping[str, Pause]]
    """Returns the pauses of identities, by address."""

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/identities/{address}/pause", self.post_pause),
            web.post("/identities/{address}/resume", self.post_resume),
        ]

    async def post_pause(self, request: web.Request) -> web.Response:
        """POST /identities/ADDRESS/pause with {"reason": TEXT} or no body: refuse its mail until it is resumed."""
        address = canonical(address_or_400(request.match_info["address"]))
        reason = reason_or_400(await optional_json_body(request))
        if self.settings().identity_for(address) is None:
            raise web.HTTPNotFound(text=f"{address} is not an identity; add it with: relay identity add {address}")
        application = request.get(APPLICATION, "")
        cause, who = (BY_APPLICATION, f"the application {application}") if application else (BY_OPERATOR, "an operator")
        why = f"{who} paused it{f': {reason}' if reason else ''}"
        paused = await self.pause(address, cause, why)
        await audit_change(request, "identity.pause", address, after=why if paused else "it was paused before")
        return web.json_response({"address": address, "paused": paused})

    async def post_resume(self, request: web.Request) -> web.Response:
        """POST /identities/ADDRESS/resume: accept its mail again, and send now what the pause held back.

        An application does not end what its own bounces and complaints caused, nor what an operator decided.
        """
        address = canonical(address_or_400(request.match_info["address"]))
        before = self.pauses().get(address)
        entries = await (self.resume_of_application if APPLICATION in request else self.resume)(address)
        pause = self.pauses().get(address)
        if entries is None and APPLICATION in request and pause is not None and pause.category != BY_APPLICATION:
            text = f"{pause.why}; an operator must resume it: relay identity resume {address}"
            raise web.HTTPForbidden(text=text)
        if entries is not None:
            was, now = before.why if before else "", f"{entries} recipients are due"
            await audit_change(request, "identity.resume", address, before=was, after=now)
        return web.json_response({"address": address, "resumed": entries is not None, "entries": entries or 0})

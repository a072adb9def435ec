"""The routes of providers: list with state and usage, end a pause, send a test mail."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from relay.admin.requests import address_or_400, optional_json_body
from relay.clock import Clock
from relay.config.settings import Provider, Settings
from relay.events.ports import Publish, StoreError
from relay.limits.ports import LimitStore, Usage
from relay.limits.window import DAY, HOUR, Window, windows
from relay.mail.canonical_address import domain_of
from relay.mail.lane import DIRECT, lane_of
from relay.queue.ports import QueueStore
from relay.queue.provider_test import ProviderTest, provider_test_message
from relay.queue.routing import LanePause, provider_of
from relay.reports.serialize import JsonObject, time_json

_MAX_LISTED = 3
"""Paused destinations listed by name, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRoutes:
    """The routes of providers."""

    settings: Callable[[], Settings]
    store: QueueStore
    limits: LimitStore
    clock: Clock
    new_id: Callable[[float], str]
    publish: Publish
    pauses: Callable[[], Mapping[str, LanePause]]
    """The paused lanes, by name."""
    end_pause: Callable[[str], Awaitable[int | None]]
    """Ends the pause of a lane, and makes its deferred entries due now; returns their number, None without a pause."""
    wake: Callable[[], None]
    """Wakes the runner to claim due entries."""

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/providers", self.listing),
            web.post("/providers/{name}/resume", self.resume),
            web.post("/providers/{name}/test", self.test),
        ]

    async def listing(self, _: web.Request) -> web.Response:
        """GET /providers: the built-in provider and those of the configuration."""
        return web.json_response({"providers": await self.rows()})

    async def rows(self) -> list[JsonObject]:
        """Return the rows of the list."""
        providers = self.settings().providers
        limits = {_key(one): found for one in providers if (found := _windows(one))}
        usage = await self.limits.usage(limits, self.clock())
        pauses = self.pauses()
        rows = [provider_json(one, pauses.get(_key(one)), usage.get(_key(one))) for one in providers]
        return [direct_provider_json(pauses), *rows]

    async def resume(self, request: web.Request) -> web.Response:
        """POST /providers/NAME/resume: end a pause and retry its entries now."""
        name = self._known(request)
        entries = await self.end_pauses(name)
        return web.json_response({"provider": name, "resumed": entries is not None, "entries": entries or 0})

    async def end_pauses(self, name: str) -> int | None:
        """End the pauses of the lanes of a provider; return the entries that are due now, None without a pause."""
        lanes = [lane for lane in self.pauses() if provider_of(lane) == name]
        return sum([await self.end_pause(lane) or 0 for lane in lanes]) if lanes else None

    async def test(self, request: web.Request) -> web.Response:
        """POST /providers/NAME/test with {"from": ADDRESS, "to": ADDRESS}, both optional: queue a test mail."""
        name, body = self._known(request), await optional_json_body(request)
        return web.json_response(await self.send_test(name, _address(body, "from"), _address(body, "to")))

    async def send_test(self, name: str, from_address: str, to_address: str) -> JsonObject:
        """Queue a test mail through a provider, and return its queue id, addresses and lane. Raises 400."""
        settings, now = self.settings(), self.clock()
        hostname = settings.server.hostname
        from_address = from_address or settings.alerts.mail_from or f"postmaster@{hostname}"
        to_address = to_address or next(iter(settings.alerts.mail_to), "")
        if not to_address:
            raise web.HTTPBadRequest(text="there is no recipient: give an address, or set alerts.mail_to")

        domain = domain_of(from_address)
        listed = domain in settings.domains
        return_path = settings.domain_for(from_address).return_path if listed else ""
        test = ProviderTest(
            provider=name,
            from_address=from_address,
            to_address=to_address,
            hostname=hostname,
            domain=domain if listed else "",
            return_path=return_path,
            bounce_address="" if return_path else settings.bounces.address,
        )

        accepted = provider_test_message(test, self.new_id(now), now)
        await self.store.enqueue(accepted)
        self.publish(accepted.events)
        self.wake()

        (entry,) = accepted.entries
        row = {"queue_id": entry.queue_id, "provider": name, "from": from_address, "to": to_address}
        return {**row, "lane": lane_of(name, to_address)}

    async def resume_changed(self, before: Settings) -> None:
        """End the pauses of providers whose settings changed since `before`: the change may be the repair."""
        lanes = {_key(one) for one in self.settings().providers if one != before.provider(one.name)}
        with suppress(StoreError):  # The deferred entries stay scheduled.
            for lane in lanes:
                await self.end_pause(lane)

    def _known(self, request: web.Request) -> str:
        name = request.match_info["name"]
        known = [DIRECT, *(one.name for one in self.settings().providers)]
        if name not in known:
            raise web.HTTPNotFound(text=f'there is no provider "{name}"; the providers are: {", ".join(known)}')
        return name


def provider_json(provider: Provider, pause: LanePause | None, usage: Usage | None) -> JsonObject:
    """Return state and usage of a provider. A limit of 0 means none; `free_at` is null without limits."""
    sent = dict(zip((window.span for window in _windows(provider)), usage.left if usage else (), strict=True))
    return {
        "name": provider.name,
        "host": f"{provider.host}:{provider.port}",
        "auth": _auth(provider),
        "state": "paused" if pause else "ok",
        "paused_until": time_json(pause.until) if pause else None,
        "why": pause.why if pause else "",
        "hourly_limit": provider.hourly_limit,
        "hourly_used": sent.get(HOUR),
        "daily_limit": provider.daily_limit,
        "daily_used": sent.get(DAY),
        "waiting": usage.waiting if usage else 0,
        "free_at": time_json(usage.free_at) if usage else None,
    }


def direct_provider_json(pauses: Mapping[str, LanePause]) -> JsonObject:
    """Return the state of MX delivery, with its paused destinations."""
    paused = {lane: pause for lane, pause in pauses.items() if provider_of(lane) == DIRECT}
    named = ", ".join(f"{lane} ({pause.why})" for lane, pause in list(paused.items())[:_MAX_LISTED])
    count = "1 destination is paused" if len(paused) == 1 else f"{len(paused)} destinations are paused"
    why = f"{count}: {named}{', …' if len(paused) > _MAX_LISTED else ''}" if paused else ""

    return {
        "name": DIRECT,
        "host": "the MX hosts of each domain",
        "auth": "none",
        "state": "ok",
        "paused_until": None,
        "why": why,
        "hourly_limit": 0,
        "hourly_used": None,
        "daily_limit": 0,
        "daily_used": None,
        "waiting": 0,
        "free_at": None,
    }


def _auth(provider: Provider) -> Literal["oauth2", "password", "none"]:
    """Return how the relay logs in."""
    if provider.oauth is not None:
        return "oauth2"
    return "password" if provider.username else "none"


def _windows(provider: Provider) -> tuple[Window, ...]:
    return windows(provider.hourly_limit, provider.daily_limit)


def _key(provider: Provider) -> str:
    """Return the lane name of a provider, which is also the key of its ledger."""
    return f"provider:{provider.name}"


def _address(body: Mapping[str, Any], key: str) -> str:
    given = body.get(key, "")
    if not isinstance(given, str):
        raise web.HTTPBadRequest(text=f'"{key}" must be an address')
    return address_or_400(given) if given else ""

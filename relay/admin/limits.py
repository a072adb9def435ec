"""The route of the limits: what identities and providers have used, and when the next message could leave."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.reports.serialize import JsonObject

_OF_IDENTITIES = (
    "address", "hourly_limit", "used_hour", "daily_limit", "used_day", "waiting", "next_release_at", "paused_since"
)  # fmt: skip

_OF_PROVIDERS = (
    "name", "state", "hourly_limit", "hourly_used", "daily_limit", "daily_used", "waiting", "free_at"
)  # fmt: skip

Rows = Callable[[], Awaitable[Sequence[JsonObject]]]


@dataclass(frozen=True, slots=True)
class LimitRoutes:
    """GET /limits: the use of all limits, from the rows of the lists of identities and providers."""

    identities: Rows
    providers: Rows

    def table(self) -> list[web.RouteDef]:
        """Return the route."""
        return [web.get("/limits", self.limits)]

    async def limits(self, _: web.Request) -> web.Response:
        """Return what is used, and the next time with capacity: null if that is now. A limit of 0 means none."""
        identities = [{key: one[key] for key in _OF_IDENTITIES} for one in await self.identities()]
        providers = [{key: one[key] for key in _OF_PROVIDERS} for one in await self.providers()]
        return web.json_response({"identities": identities, "providers": providers})

"""The routes of sites: list and details."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.reports.sites import SiteReport, is_in_use


@dataclass(frozen=True, slots=True)
class SiteRoutes:
    """The routes of sites."""

    reports: Callable[[], Awaitable[Sequence[SiteReport]]]
    """Returns all sites, the busiest first."""

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [web.get("/sites", self.listing)]

    async def listing(self, request: web.Request) -> web.Response:
        """GET /sites?name=&all=: the sites in use; with `all` the profiles too, with `name` that site."""
        found = await self.reports()
        if name := request.query.get("name", ""):
            named = [one for one in found if one.name == name or f"mx:{name}" in one.lanes]
            if not named:
                raise web.HTTPNotFound(text=f'there is no site "{name}", and no mail for such a domain lately')
            return web.json_response({"sites": [one.as_json() for one in named]})
        shown = found if "all" in request.query else [one for one in found if is_in_use(one)]
        return web.json_response({"sites": [one.as_json() for one in shown]})

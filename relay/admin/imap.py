"""The route of the bounce mailbox."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class ImapRoutes:
    """GET /imap/folders."""

    folders: Callable[[], Awaitable[Mapping[str, object]]]
    """Returns the folders and their prefix, or the error."""

    def table(self) -> list[web.RouteDef]:
        """Return the route."""
        return [web.get("/imap/folders", self.listed)]

    async def listed(self, _: web.Request) -> web.Response:
        """GET /imap/folders: the folders as the server lists them now. The relay has the login of the person."""
        return web.json_response(await self.folders())

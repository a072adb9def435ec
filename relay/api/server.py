"""The application of the API: its routes, each behind a scope, and its description at /api/openapi.json."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from relay import __version__
from relay.api.access import CALLER, Access
from relay.api.description_page import POLICY, page
from relay.api.openapi import openapi
from relay.api.operations import Route
from relay.api.problems import Handler, problems

MAX_BODY = 1 << 20
"""Octets of a request, at most, for routes that do not send."""

DESCRIPTION = "/api/openapi.json"

PAGE = "/api/"
"""The description to read."""

PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def api_application(
    access: Access,
    routes: Sequence[Route],
    *closing: Callable[[web.Application], Awaitable[None]],
    vendors: Sequence[web.RouteDef] = (),
) -> web.Application:
    """Return the application with these routes, and those in the forms of mail services.

    `closing` ends answers that go on, at the stop of the server.
    """
    described = openapi([one.operation for one in routes], __version__)

    async def description(_: web.Request) -> web.Response:
        return web.json_response(described)

    shown = page(described)

    async def read(_: web.Request) -> web.Response:
        return web.Response(text=shown, content_type="text/html", headers=PAGE_HEADERS)

    app = web.Application(client_max_size=MAX_BODY, middlewares=[problems])
    app.on_shutdown.extend(closing)
    app.router.add_get(DESCRIPTION, description)
    app.router.add_get(PAGE, read)
    for one in routes:
        app.router.add_route(one.operation.method.upper(), one.pattern or one.operation.path, _checked(access, one))
    app.router.add_routes(vendors)
    return app


def _checked(access: Access, route: Route) -> Handler:
    """Return the handler of a route behind the check of its caller."""

    async def handle(request: web.Request) -> web.StreamResponse:
        request[CALLER] = await access.caller(request, route.operation.scope)
        with access.turn(request[CALLER]):
            return await route.handler(request)

    return handle

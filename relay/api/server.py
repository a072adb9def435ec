"""The application of the API: its operations, and its description at /api/openapi.json."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from relay import __version__
from relay.api.openapi import openapi
from relay.api.operations import Operation
from relay.api.problems import problems

MAX_BODY = 1 << 20
"""Octets of a request, at most."""

DESCRIPTION = "/api/openapi.json"


def api_application(
    operations: Sequence[Operation], *closing: Callable[[web.Application], Awaitable[None]]
) -> web.Application:
    """Return the application with these operations. `closing` ends answers that go on, at the stop of the server."""
    described = openapi(operations, __version__)

    async def description(_: web.Request) -> web.Response:
        return web.json_response(described)

    app = web.Application(client_max_size=MAX_BODY, middlewares=[problems])
    app.on_shutdown.extend(closing)
    app.router.add_get(DESCRIPTION, description)
    for one in operations:
        app.router.add_route(one.method.upper(), one.path, one.handler)
    return app

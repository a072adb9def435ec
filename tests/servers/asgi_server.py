"""Serves an ASGI application on loopback, for tests: one request at a time is enough."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


@asynccontextmanager
async def serving(application: Callable[..., Any]) -> AsyncIterator[str]:
    """Run the application; give its URL."""

    async def handle(request: web.Request) -> web.Response:
        sent: list[Mapping[str, Any]] = []
        body = await request.read()
        scope = {
            "type": "http",
            "method": request.method,
            "path": request.path,
            "query_string": request.query_string.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers.items()],
        }

        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message)

        await application(scope, receive, send)
        return web.Response(status=sent[0]["status"], body=sent[1]["body"], content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()

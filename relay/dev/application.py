"""The application of `relay serve --dev`: its pages, those of the console, and the tracker behind them."""

from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from relay.console import static_files
from relay.console.access import AccessCheck, access_middleware, secure
from relay.console.message_list import MessagesPage
from relay.console.message_page import MessagePages
from relay.console.roles import Role
from relay.console.route import Route
from relay.console.routes import guarded, page_errors
from relay.dev.pages import DevPages

TRACKED = ("/o/", "/c/", "/u/", "/v/", "/verify", "/healthz", "/readyz", "/robots.txt")
"""Paths of the tracker."""

_PASSED_ON = ("User-Agent", "Accept", "Content-Type", "Sec-Purpose", "Purpose")

_ANSWERED = ("Content-Type", "Location", "Cache-Control", "Content-Security-Policy", "Referrer-Policy")


def dev_application(
    pages: DevPages, messages: MessagesPage, message: MessagePages, tracker_port: Callable[[], int]
) -> web.Application:
    """Return the application. Its pages answer direct requests of this machine; the tracker answers all."""
    passing = TrackerProxy(tracker_port)
    guard = access_middleware(AccessCheck())

    @web.middleware
    async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(TRACKED):
            return await passing.answer(request)
        guarded_answer: Awaitable[web.StreamResponse] = guard(request, handler)
        return await guarded_answer

    async def headers(request: web.Request, answer: web.StreamResponse) -> None:
        if not request.path.startswith(TRACKED):
            await secure(request, answer)

    app = web.Application(middlewares=[access, page_errors(pages.layout)])
    app.on_response_prepare.append(headers)
    for route in (
        Route("GET", "/static/{name}", static_files.serve, None),
        Route("GET", "/", pages.index, Role.VIEWER),
        Route("GET", "/mail/{queue_id}", pages.mail, Role.VIEWER),
        Route("GET", "/mail/{queue_id}/body", pages.body, Role.VIEWER),
        Route("POST", "/mail/{queue_id}/word", pages.send_to_word, Role.VIEWER),
        Route("GET", "/messages", messages.show, Role.VIEWER),
        Route("GET", "/messages/{queue_id}", message.show, Role.VIEWER),
        Route("GET", "/messages/{queue_id}/preview", message.preview, Role.VIEWER),
    ):
        app.router.add_route(route.method, route.path, guarded(route, pages.layout))
    app.on_cleanup.append(passing.close)
    return app


class TrackerProxy:
    """Passes requests of readers on to the tracker, which listens on another port."""

    def __init__(self, port: Callable[[], int]) -> None:
        self._port = port
        self._client: aiohttp.ClientSession | None = None

    async def answer(self, request: web.Request) -> web.Response:
        """Return the answer of the tracker."""
        if self._client is None:
            self._client = aiohttp.ClientSession(auto_decompress=False)
        url = f"http://127.0.0.1:{self._port()}{request.raw_path}"
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        body = await request.read()
        async with self._client.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            kept = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    async def close(self, _: web.Application) -> None:
        """Close the connections to the tracker."""
        if self._client is not None:
            await self._client.close()

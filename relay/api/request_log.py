"""A log line and an id for each request to the API."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_hex

from aiohttp import web

from relay.api.access import CALLER
from relay.clock import steady_clock
from relay.log import Emit

HEADER = "X-Request-Id"

_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Ids of clients and proxies that are kept."""

_ID = web.RequestKey("id", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class RequestLog:
    """Writes `api.request`. The query is left out: it may have addresses of recipients."""

    log: Emit
    new_id: Callable[[], str] = lambda: token_hex(8)
    clock: Callable[[], float] = steady_clock

    def install(self, app: web.Application) -> None:
        """Log the requests of an application, outside its other middlewares."""

        @web.middleware
        async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._logged(request, handler)

        app.middlewares.insert(0, logged)
        app.on_response_prepare.append(_add_id)

    async def _logged(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(HEADER, "")
        request[_ID] = given if _GIVEN.fullmatch(given) else self.new_id()
        began, status = self.clock(), 500
        try:
            answer = await handler(request)
            status = answer.status
        finally:
            caller = request.get(CALLER)
            self.log(
                "api.request",
                request=request[_ID],
                credential=caller.credential if caller else "",
                client=request.remote or "",
                method=request.method,
                path=request.path[:200],
                status=status,
                seconds=round(self.clock() - began, 3),
            )
        return answer


async def _add_id(request: web.Request, answer: web.StreamResponse) -> None:
    if _ID in request:
        answer.headers[HEADER] = request[_ID]

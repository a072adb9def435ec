"""A log line and an id for each request to the API, and the answer to one that failed unexpectedly."""

import re
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_hex
from types import TracebackType

from aiohttp import web

from relay.api.access import CALLER, CLIENT
from relay.api.problems import ERROR_FORM, problem
from relay.clock import steady_clock
from relay.log import Emit
from relay.mail.trace_context import TRACEPARENT, valid_traceparent

HEADER = "X-Request-Id"

FAILED = "an unexpected error of the relay, which its log has under the X-Request-Id; repeat the request later"
"""What a client reads."""

_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Ids of clients and proxies that are kept."""

_ID = web.RequestKey("id", str)

_HAS_FAILED = web.RequestKey("has_failed", bool)

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
            given = request.headers.get(HEADER, "")
            request[_ID] = given if _GIVEN.fullmatch(given) else self.new_id()
            with _Logged(self, request) as line:
                answer = await handler(request)
                line.status = answer.status
            return answer

        app.middlewares.insert(0, logged)
        app.on_response_prepare.append(_complete)


class _Logged:
    """The log lines of one request. An exception that leaves the context is logged, and goes on to aiohttp."""

    def __init__(self, lines: RequestLog, request: web.Request) -> None:
        self.status = 500
        self._lines = lines
        self._request = request
        self._began = lines.clock()

    def __enter__(self) -> "_Logged":
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        request, log = self._request, self._lines.log
        if isinstance(error, web.HTTPException):
            self.status = error.status
        elif isinstance(error, Exception):
            request[_HAS_FAILED] = True
            log("api.failed", request=request[_ID], error="".join(traceback.format_exception(error)))
        caller = request.get(CALLER)
        trace = valid_traceparent(*request.headers.getall(TRACEPARENT, ()))
        log(
            "api.request",
            request=request[_ID],
            credential=caller.credential if caller else "",
            client=request.get(CLIENT) or request.remote or "",
            method=request.method,
            path=request.path[:200],
            status=self.status,
            seconds=round(self._lines.clock() - self._began, 3),
            **({TRACEPARENT: trace} if trace else {}),
        )


async def _complete(request: web.Request, answer: web.StreamResponse) -> None:
    """Add the id to an answer; give the 500 that aiohttp makes of an exception the form of other errors."""
    if _ID in request:
        answer.headers[HEADER] = request[_ID]
    if request.get(_HAS_FAILED) and isinstance(answer, web.Response):
        shaped = request.get(ERROR_FORM, problem)(500, FAILED)
        answer.body = shaped.body
        answer.headers["Content-Type"] = shaped.headers["Content-Type"]
        answer.headers["Content-Length"] = str(shaped.content_length)

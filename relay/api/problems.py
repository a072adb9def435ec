"""Errors of the API as problem details (RFC 9457)."""

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web

from relay.events.ports import StoreError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBLEM_TYPE = "application/problem+json"

ErrorForm = Callable[[int, str], web.Response]
"""Returns an error with this status and reason."""

ERROR_FORM: web.RequestKey[ErrorForm] = web.RequestKey("error_form")
"""The form of errors of the route, if it is not that of problems."""

_KEPT = frozenset({"WWW-Authenticate", "Retry-After", "Allow"})
"""Header fields of errors that clients act on."""

RETRY_AFTER = 5
"""Seconds after which a request may be repeated while the store does not answer."""


class ProblemError(Exception):
    """A request that is answered with this error. `more` are further members of the problem."""

    def __init__(self, status: int, detail: str, *, retry_after: int = 0, **more: object) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}
        self.more = more


def problem_json(status: int, detail: str, **more: object) -> dict[str, object]:
    """Return a problem as JSON."""
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **more: object) -> web.Response:
    """Return an error with its reason."""
    text = json.dumps(problem_json(status, detail, **more))
    return web.Response(status=status, text=text, content_type=PROBLEM_TYPE, headers=dict(headers or {}))


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the errors of a handler into problems: faults of the request, and a store that does not answer."""
    try:
        return await handler(request)
    except ProblemError as error:
        return problem(error.status, error.detail, error.headers, **error.more)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {name: value for name, value in error.headers.items() if name in _KEPT}
        return problem(error.status, error.text or error.reason, kept)
    except StoreError as error:
        return problem(503, f"the store does not answer: {error}", {"Retry-After": str(RETRY_AFTER)})

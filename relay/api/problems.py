"""Errors of the API as problem details (RFC 9457)."""

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web

from relay.events.ports import StoreError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBLEM_TYPE = "application/problem+json"

_KEPT = frozenset({"WWW-Authenticate", "Retry-After", "Allow"})
"""Header fields of errors that clients act on."""

RETRY_AFTER = 5
"""Seconds after which a request may be repeated while the store does not answer."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error with its reason."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.Response(status=status, text=json.dumps(body), content_type=PROBLEM_TYPE, headers=dict(headers or {}))


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the errors of a handler into problems: faults of the request, and a store that does not answer."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {name: value for name, value in error.headers.items() if name in _KEPT}
        return problem(error.status, error.text or error.reason, kept)
    except StoreError as error:
        return problem(503, f"the store does not answer: {error}", {"Retry-After": str(RETRY_AFTER)})

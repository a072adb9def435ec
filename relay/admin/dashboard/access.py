"""Who may see the dashboard: nobody from elsewhere, and no web page by way of its reader's browser.

A page of a stranger can have a browser on this machine ask the dashboard under a name of its own that points to
127.0.0.1 (DNS rebinding). Such a request has the stranger's name in Host, so without a secret only loopback names are
answered. With a secret a name is as good as another: the browser gives it to the origin it was typed for, and to none
else.
"""

import asyncio
import re
from base64 import b64decode
from dataclasses import dataclass
from hmac import compare_digest
from ipaddress import ip_address

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from relay.admin.dashboard.html import POLICY

WRONG_SECRET_PAUSE = 0.5
"""Seconds that an answer to a wrong secret takes."""


_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::[0-9]*)?")
"""uri-host [":" port] (RFC 9110 section 7.2)."""


_HEADERS = {
    "Server": "relay",
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets requests through, or answers for the dashboard. An empty secret asks for none."""

    secret: str = ""

    async def refusal(self, request: web.Request) -> web.Response | None:
        """Return the answer to a request that may not see anything, None to go on."""
        if not self.secret:
            if is_loopback_name(request.headers.get("Host", "")):
                return None
            return web.Response(status=421, text="Ask for localhost or 127.0.0.1: no other name is answered here.\n")
        if secret_in(request.headers.get("Authorization", "")) == "":
            return _ask()
        if compare_digest(secret_in(request.headers["Authorization"]).encode(), self.secret.encode()):
            return None
        await asyncio.sleep(WRONG_SECRET_PAUSE)
        return _ask()


def guarded(guard: Guard) -> Middleware:
    """Return the middleware that asks the guard first, and gives every answer the headers it must have."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            answer = await guard.refusal(request) or await handler(request)
        except web.HTTPException as error:
            error.headers.update(_HEADERS)
            raise
        answer.headers.update(_HEADERS)
        return answer

    return middleware


def is_loopback_name(host: str) -> bool:
    """Tell whether a Host header names this machine's loopback: "localhost", "127.0.0.1:8026", "[::1]:8026"."""
    found = _HOST.fullmatch(host)
    if found is None or found["name"].lower() == "localhost":
        return found is not None
    try:
        return ip_address(found["name"].strip("[]")).is_loopback
    except ValueError:
        return False


def secret_in(authorization: str) -> str:
    """Return the password of an Authorization header of the Basic scheme (RFC 7617), "" when there is none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _ask() -> web.Response:
    headers = {"WWW-Authenticate": 'Basic realm="relay", charset="UTF-8"'}
    return web.Response(status=401, text="The password is admin.secret of the configuration.\n", headers=headers)

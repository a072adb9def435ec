"""Access to the dashboard: from loopback, or with the secret; not through a foreign page in the browser of a user.

A foreign page can request the dashboard from a browser on this machine, with a name of its own that points to
127.0.0.1 (DNS rebinding). Such a request has the foreign name in Host, so without a secret only loopback names are
answered. With a secret any name is safe, because a browser sends the secret only to the origin it was entered for.
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
"""Seconds by which the response to a wrong secret is delayed."""


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
class AccessCheck:
    """Decides if a request may see the dashboard. With an empty secret only loopback names may."""

    secret: str = ""

    async def refusal(self, request: web.Request) -> web.Response | None:
        """Return the response to a request without access, None if it has access."""
        if not self.secret:
            if is_loopback_name(request.headers.get("Host", "")):
                return None
            return web.Response(
                status=421, text="Use localhost or 127.0.0.1: requests for other names are not answered.\n"
            )
        if secret_in(request.headers.get("Authorization", "")) == "":
            return _unauthorized()
        if compare_digest(secret_in(request.headers["Authorization"]).encode(), self.secret.encode()):
            return None
        await asyncio.sleep(WRONG_SECRET_PAUSE)
        return _unauthorized()


def access_middleware(check: AccessCheck) -> Middleware:
    """Return the middleware that checks access and adds the security headers to every response."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            answer = await check.refusal(request) or await handler(request)
        except web.HTTPException as error:
            error.headers.update(_HEADERS)
            raise
        answer.headers.update(_HEADERS)
        return answer

    return middleware


def is_loopback_name(host: str) -> bool:
    """Return True if a Host field is a loopback name: "localhost", "127.0.0.1:8026", "[::1]:8026"."""
    found = _HOST.fullmatch(host)
    if found is None or found["name"].lower() == "localhost":
        return found is not None
    try:
        return ip_address(found["name"].strip("[]")).is_loopback
    except ValueError:
        return False


def secret_in(authorization: str) -> str:
    """Return the password of a Basic Authorization field (RFC 7617), "" if there is none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _unauthorized() -> web.Response:
    headers = {"WWW-Authenticate": 'Basic realm="relay", charset="UTF-8"'}
    return web.Response(status=401, text="The password is admin.secret of the configuration.\n", headers=headers)

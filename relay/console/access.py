"""Access to the console: directly from this machine, or with the secret.

Without a secret the whole request must show that it comes from a user of this machine. A proxy on this machine connects
from loopback, and adds fields, or uses HTTP/1.0. A foreign page in the browser of a user connects from loopback as
well. Its name is in Host if it points to 127.0.0.1 (DNS rebinding), else Sec-Fetch-Site or Origin names it.

With a secret any name is safe: a browser sends the secret only to the origin it was entered for.
"""

import asyncio
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from ipaddress import ip_address

from aiohttp import HttpVersion, HttpVersion11, web
from aiohttp.typedefs import Handler, Middleware

WRONG_SECRET_PAUSE = 0.5
"""Seconds by which the response to a wrong secret is delayed."""

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::[0-9]*)?")
"""uri-host [":" port] (RFC 9110 section 7.2)."""

_DIRECT_FIELD = re.compile(
    r"host|connection|keep-alive|user-agent|accept(?:-.*)?|cache-control|pragma|cookie|authorization|origin|referer|"
    r"if-.*|range|te|trailer|upgrade|upgrade-insecure-requests|http2-settings|priority|dnt|sec-.*|save-data|purpose|"
    r"x-purpose|x-moz|x-requested-with|content-(?:length|type|encoding)|transfer-encoding|expect|date|from|"
    r"device-memory|dpr|width|viewport-width|rtt|ect|downlink|hx-(?:request|current-url|target|trigger|trigger-name|boosted)",
    re.IGNORECASE,
)
"""Fields of browsers, htmx and command-line clients. Proxies, gateways and content delivery networks add others."""

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; frame-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the pages: nothing is inline, and nothing comes from another host."""

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
    """Decides if a request may see the console. With an empty secret only direct requests of this machine may."""

    secret: str = ""

    async def refusal(self, request: web.Request) -> web.Response | None:
        """Return the response to a request without access, None if it has access."""
        if not self.secret:
            return _without_secret(request)
        password = basic_password(request.headers.get("Authorization", ""))
        if compare_digest(password.encode(), self.secret.encode()):
            return None
        if password:
            await asyncio.sleep(WRONG_SECRET_PAUSE)
        return _unauthorized()


def access_middleware(check: AccessCheck) -> Middleware:
    """Return the middleware that checks access."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await check.refusal(request) or await handler(request)

    return middleware


async def secure(_: web.Request, answer: web.StreamResponse) -> None:
    """Add the headers of all answers, before any octet of them. A static file and a preview have some of their own."""
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)
    answer.headers["Server"] = _HEADERS["Server"]  # aiohttp has set its own.


def _without_secret(request: web.Request) -> web.Response | None:
    """Return the response to a request while no secret is set, None if it comes directly from this machine."""
    if [is_loopback_name(host) for host in request.headers.getall("Host", [])] != [True]:
        return web.Response(status=421, text="Use localhost or 127.0.0.1: requests for other names are not answered.\n")
    peer = request.transport.get_extra_info("peername") if request.transport else None
    sign = proxy_reason(request.headers, request.version, request.raw_path)
    if sign or not (peer and is_loopback_name(_bracketed(peer[0]))):
        why = f" ({sign})" if sign else ""
        text = f"Through a proxy the console needs a secret: set admin.secret.{why}\n"
        return web.Response(status=403, text=text)
    if is_cross_origin(request.headers):
        return web.Response(status=403, text="The request comes from a page of another site.\n")
    return None


def proxy_reason(headers: Mapping[str, str], version: HttpVersion = HttpVersion11, target: str = "/") -> str:
    """Return why a request seems to come through a proxy or gateway, "" if it does not.

    A proxy adds Forwarded (RFC 7239), Via (RFC 9110 section 7.6.3) or a field of its own. So a field of no browser is a
    sign. Some add none, but use HTTP/1.0 or a whole URL as target (RFC 9112 section 3.2.2).
    """
    if version < HttpVersion11:
        return "HTTP/1.0"
    if not target.startswith("/"):
        return "a whole URL as target"
    return next((f"field {name}" for name in headers if not _DIRECT_FIELD.fullmatch(name)), "")


def is_cross_origin(headers: Mapping[str, str]) -> bool:
    """Return True if a page of another origin caused the request (Fetch Metadata, RFC 6454 section 7).

    An address that was entered, a bookmark and a page of the console itself are not foreign.
    """
    if headers.get("Sec-Fetch-Site", "none").lower() not in ("none", "same-origin"):
        return True
    own_origin = f"http://{headers.get('Host', '')}"
    return headers.get("Origin", own_origin).lower() != own_origin.lower()


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def is_loopback_name(host: str) -> bool:
    """Return True if a Host field is a loopback name: "localhost", "127.0.0.1:8026", "[::1]:8026"."""
    found = _HOST.fullmatch(host)
    if found is None or found["name"].lower() == "localhost":
        return found is not None
    try:
        return ip_address(found["name"].strip("[]")).is_loopback
    except ValueError:
        return False


def basic_password(authorization: str) -> str:
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

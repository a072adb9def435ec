"""HTTP responses of the tracker."""

import json
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp import web

GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""A transparent image of one pixel, 43 octets."""

_COMMON = {
    "Server": "relay",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
}

_PIXEL = _COMMON | {
    "Content-Type": "image/gif",
    "Cache-Control": "no-store, no-cache, must-revalidate, max-age=0, private",
    "Pragma": "no-cache",
    "Expires": "0",
}

_PLAIN = _COMMON | {"Content-Type": "text/plain; charset=utf-8"}

_JSON = _COMMON | {"Content-Type": "application/json"}


def pixel() -> web.Response:
    """Return the response to a pixel request."""
    return web.Response(body=GIF, headers=_PIXEL)


@lru_cache(maxsize=2)
def pixel_octets(second: int) -> bytes:
    """Return the pixel response as octets of HTTP/1.1, for a persistent connection. `second` is the Unix time."""
    length, date = {"Content-Length": str(len(GIF))}, {"Date": formatdate(second, usegmt=True)}
    fields = "".join(f"{name}: {value}\r\n" for name, value in (_PIXEL | length | date).items())
    return f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode("ascii") + GIF


def redirect_octets(location: str, second: int) -> bytes:
    """Return the response to a click as octets of HTTP/1.1, for a persistent connection."""
    return b"%b%b%b" % (_REDIRECT_START, location.encode("ascii"), _redirect_end(second))


_REDIRECT_START = "".join(
    ["HTTP/1.1 302 Found\r\n", *(f"{name}: {value}\r\n" for name, value in _COMMON.items()), "Location: "]
).encode("ascii")


@lru_cache(maxsize=2)
def _redirect_end(second: int) -> bytes:
    date = formatdate(second, usegmt=True)
    return f"\r\nContent-Length: 0\r\nDate: {date}\r\n\r\n".encode("ascii")


def redirect(location: str) -> web.Response:
    """Return the response to a click. `location` must be visible ASCII."""
    return web.Response(status=302, headers={**_COMMON, "Location": location})


def plain(status: int, text: str, **headers: str) -> web.Response:
    """Return a response of plain text. Underscores in the names of header fields stand for hyphens."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(status=status, body=text.encode() + b"\n", headers={**_PLAIN, **more})


def not_allowed(methods: Sequence[str]) -> web.Response:
    """Return the response to another method than these."""
    allowed = ", ".join(methods)
    return plain(405, f"Only {allowed}.", Allow=allowed)


def page(html: str, security_policy: str, *, status: int = 200) -> web.Response:
    """Return an HTML page with a Content-Security-Policy."""
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": security_policy}
    return web.Response(status=status, body=html.encode(), headers=_COMMON | headers)


EXTERNAL_CHECKS = frozenset({"tracking"})
"""Checks that do not concern this process: taking it out of service would not help."""


def health(checks: Mapping[str, bool], spool: Mapping[str, object]) -> web.Response:
    """Return all checks and the spool as JSON, with 200 if the checks of this process pass, else with 503."""
    failing = {name for name, passed in checks.items() if not passed}
    healthy = failing <= EXTERNAL_CHECKS
    status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
    word = "failing" if not healthy else "degraded" if failing else "ok"
    body = json.dumps({"status": word, "checks": dict(checks), "spool": dict(spool)})
    return web.Response(status=status, body=body.encode() + b"\n", headers=_JSON)


def readiness(checks: Mapping[str, bool]) -> web.Response:
    """Return the checks as JSON, with 200 if all pass, else with 503."""
    ready = all(checks.values())
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps({"status": "ready" if ready else "not ready", "checks": dict(checks)})
    return web.Response(status=status, body=body.encode() + b"\n", headers=_JSON)

"""Path and body of an HTTP request to the tracker."""

from aiohttp import web

MAX_BODY = 4096
"""Octets of the body of a POST, at most."""


def path_of(target: str) -> str:
    """Return the path of a request target, in origin form or absolute form (RFC 9112 section 3.2.2), not decoded."""
    if not target.startswith("/"):
        scheme, _, rest = target.partition("://")
        target = "/" + rest.partition("/")[2] if scheme.lower() in ("http", "https") else ""
    return target.partition("?")[0]


async def read_body(request: web.BaseRequest) -> bytes | None:
    """Return the body, None if it is too long. Send 100 Continue if the client expects it (RFC 9110 section 10.1.1)."""
    if (request.content_length or 0) > MAX_BODY:
        return None
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)

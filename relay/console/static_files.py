"""The files of the console that no request changes: style sheet, scripts, icon."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from aiohttp import web

_TYPES = {
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
    "copy.js": "text/javascript",
    "htmx-2.0.11.min.js": "text/javascript",
}

KEPT = "private, max-age=86400"
"""Cache-Control: a page names a file with its digest, so that a changed file has another address."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file with its media type and digest."""

    content: bytes
    type: str
    digest: str


def _read(name: str, media_type: str) -> StaticFile:
    content = files("relay.console").joinpath("static", name).read_bytes()
    return StaticFile(content, media_type, sha256(content).hexdigest()[:16])


FILES: Mapping[str, StaticFile] = {name: _read(name, media_type) for name, media_type in _TYPES.items()}

URLS = {name: f"/static/{name}?v={file.digest}" for name, file in FILES.items()}
"""Address of each file, by its name."""


async def serve(request: web.Request) -> web.Response:
    """GET /static/NAME: a file."""
    file = FILES.get(request.match_info["name"])
    if file is None:
        raise web.HTTPNotFound
    headers = {"Cache-Control": KEPT, "ETag": f'"{file.digest}"'}
    if file.digest in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.content, content_type=file.type, charset="utf-8", headers=headers)

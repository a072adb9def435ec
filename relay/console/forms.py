"""Forms that browsers send."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import web


async def form_of(request: web.Request) -> Mapping[str, str]:
    """Return the texts of a form, without files. Raises HTTPBadRequest for a body that is no form."""
    try:
        given = await request.post()
    except (ValueError, LookupError) as error:
        raise web.HTTPBadRequest(text=f"The form cannot be read: {error}") from None
    return {key: value for key, value in given.items() if isinstance(value, str)}


async def file_of(request: web.Request, name: str) -> bytes:
    """Return the octets of a file in a form, none if there is no file."""
    found = (await request.post()).get(name)
    return found.file.read() if isinstance(found, web.FileField) else b""


def local_path(given: str) -> str:
    """Return a path of this console, "/" for anything else: a link must not lead to another site after the login."""
    try:
        parts = urlsplit(given)
    except ValueError:
        return "/"
    is_local = not parts.scheme and not parts.netloc and given.startswith("/") and not given.startswith(("//", "/\\"))
    return given if is_local and given.isprintable() and "\\" not in given else "/"

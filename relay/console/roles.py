"""Who looks at the console, and what a role may do."""

from dataclasses import dataclass
from enum import IntEnum

from aiohttp import web


class Role(IntEnum):
    """Roles, each with the rights of those before it."""

    VIEWER = 1
    """Reads."""
    SUPPORT = 2
    """Changes the suppressions of single addresses."""
    OPERATOR = 3
    """Changes everything except people and secrets."""
    OWNER = 4


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who made a request. The default is a user of this machine who is not logged in: reads all, changes nothing."""

    name: str = ""
    role: Role = Role.VIEWER
    sees_addresses: bool = True
    """Otherwise addresses are masked: a••@d•••.test."""
    domains: tuple[str, ...] = ()
    """Sending domains to which the viewer is confined; empty for all."""


_KEY = "relay.viewer"
"""Where a request has its viewer."""


def set_viewer(request: web.Request, viewer: Viewer) -> None:
    """Note who made the request."""
    request[_KEY] = viewer


def viewer_of(request: web.Request) -> Viewer:
    """Return who made the request: a user of this machine, unless another one was noted."""
    found = request.get(_KEY)
    return found if isinstance(found, Viewer) else Viewer()


def masked(address: str) -> str:
    """Return an address with its first characters only."""
    local, at, domain = address.rpartition("@")
    name, dot, top = domain.rpartition(".")
    return f"{local[:1]}••{at}{name[:1]}•••{dot}{top}" if at else f"{address[:1]}••"

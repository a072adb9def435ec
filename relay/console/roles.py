"""Who looks at the console, and what a role may do."""

from dataclasses import dataclass
from enum import IntEnum

from aiohttp import web

from relay.people.grants import SignedIn


class Role(IntEnum):
    """Roles, each with the rights of those before it."""

    NOBODY = 0
    """Is not logged in."""
    NEWCOMER = 1
    """Is logged in, and has to choose a password or set up an app first."""
    VIEWER = 2
    """Reads."""
    SUPPORT = 3
    """Acts on single messages and single addresses."""
    OPERATOR = 4
    """Acts on everything except people and secrets."""
    OWNER = 5


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who made a request. The default is a user of this machine who is not logged in: reads all, changes nothing."""

    name: str = ""
    role: Role = Role.VIEWER
    sees_addresses: bool = True
    """Otherwise addresses are masked: a••@d•••.test."""
    domains: tuple[str, ...] = ()
    """Sending domains to which the viewer is confined; empty for all."""
    signed_in: SignedIn | None = None
    """The login, None for a user of this machine."""
    client: str = ""

    def may(self, role: str) -> bool:
        """Whether the viewer is logged in and has the rights of a role."""
        return self.signed_in is not None and self.role >= Role[role]

    @property
    def csrf(self) -> str:
        """What each form sends back, so that no other site can send it."""
        return self.signed_in.csrf if self.signed_in else ""

    def sees(self, domain: str) -> bool:
        """Whether mail of a sending domain is shown to the viewer."""
        return not self.domains or domain in self.domains


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

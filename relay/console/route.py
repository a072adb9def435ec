"""A route of the console, with who may use it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from relay.console.roles import Role


@dataclass(frozen=True, slots=True)
class Route:
    """One route: who may use it, and what answers."""

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    role: Role | None
    """The least role; None for everybody, also without a login."""
    narrows: bool = False
    """Whether the page is filtered by the sending domains of people who are restricted to some."""
    whole: str = "It is about mail of all sending domains."
    """Why it is refused to such a person, if it does not narrow."""
    masks: bool = True
    """Whether addresses can be masked in it; otherwise those who see none do not get it."""

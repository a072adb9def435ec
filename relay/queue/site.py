"""A site: the servers that several domains share (RFC 5321 section 4.5.4.1), and what a claim may take by site."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

_ADDRESS = "address "


@dataclass(frozen=True, slots=True)
class Site:
    """The servers of a lane, and what they may get at most."""

    name: str
    """The name of its profile, else the host names in alphabetical order; the lane for a provider."""
    address: str = ""
    """The address that is asked first, "" for a provider."""
    connections: int = 1
    messages_per_connection: int = 0
    """0 for that of the settings."""
    rate: float = 0.0
    """Messages a minute; 0 for no bound."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its rates: its own, and that of the address. Hosting companies give one address many names."""
        return (self.name, _ADDRESS + self.address) if self.address else (self.name,)


@lru_cache(maxsize=256)
def site_of_lane(lane: str, connections: int) -> Site:
    """Return the site of a lane whose servers no other lane shares. It is cached: each attempt asks for it."""
    return Site(lane, connections=connections)


def is_address(key: str) -> bool:
    """Whether a key of a rate is that of an address."""
    return key.startswith(_ADDRESS)


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """The entries that a claim may take by site."""

    group_of: Mapping[str, str] = field(default_factory=dict)
    """Groups by lane."""
    free: Mapping[str, int] = field(default_factory=dict)
    """Entries by group; groups without a limit are left out."""


NO_SITE_LIMITS = SiteLimits()

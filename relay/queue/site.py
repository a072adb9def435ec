"""A site: the servers that several domains share (RFC 5321 section 4.5.4.1)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """The servers of a lane. A figure of 0 is that of the settings."""

    name: str
    """The name of its profile, else the host names in alphabetical order; the lane for a provider."""
    address: str = ""
    """The address that is asked first, "" for a provider."""
    connections: int = 0
    messages_per_connection: int = 0
    rate: float = 0.0
    """Messages a minute that the profile allows at most; 0 for no bound."""

"""Principals: the party accountable for a message, and the ledgers of its limits. Pure."""

from zlib import crc32

from relay.config.settings import Settings
from relay.frozen import dataclass
from relay.limits.window import Window, windows
from relay.mail.canonical_address import canonical
from relay.mail.transaction import network_of

_IDENTITY = "identity:"

_GROUPS = 256
"""Groups of the authors of one principal that take turns."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The accountable party of a message: its limits apply to everything it sends."""

    ledger: str
    """Key of its ledger; never empty."""
    windows: tuple[Window, ...]


def principal_of(settings: Settings, author: str, credential: str, client: str) -> Principal:
    """Return the listed identity, else the credential, else the client's network.

    A client can write any unlisted address, so that such an address has no ledger of its own. Mail of the relay
    itself has no client.
    """
    identity = settings.identity_for(author)
    if identity is not None:
        return Principal(f"{_IDENTITY}{canonical(author)}", windows(identity.hourly_limit, identity.daily_limit))
    unlisted = windows(settings.limits.unlisted_hourly, settings.limits.unlisted_daily)
    if credential:
        return Principal(f"credential:{credential}", unlisted)
    return Principal(f"network:{network_of(client)}" if client else "relay", unlisted)


def flow_key(principal: Principal, author: str) -> str:
    """Return the key of the author's mail among that of its principal, for turns.

    The authors of a credential or a network are put in a fixed number of groups: a client can write any address.
    """
    if principal.ledger.startswith(_IDENTITY):
        return principal.ledger
    return f"{principal.ledger}\t{crc32(canonical(author).encode()) % _GROUPS:02x}"


def limits_for(settings: Settings, principal: Principal, provider: str) -> dict[str, tuple[Window, ...]]:
    """Return the windows that count a message of this principal through this provider, by ledger key."""
    own = {principal.ledger: principal.windows} if principal.windows else {}
    return own | provider_limits(settings, provider)


def provider_limits(settings: Settings, provider: str) -> dict[str, tuple[Window, ...]]:
    """Return the windows of the provider alone, which apply to copies and forwarded mail."""
    upstream = settings.provider(provider)
    quota = windows(upstream.hourly_limit, upstream.daily_limit) if upstream else ()
    return {f"provider:{provider}": quota} if quota else {}

"""What an address of ours stands for: a message, an identity, or the reverse-path of mail we passed on. Pure."""

from dataclasses import dataclass

from relay.config.settings import Settings
from relay.inbound.tokens import token_of_address
from relay.mail.address import domain_of
from relay.mail.srs import original
from relay.rewrite.cc_address import identity_of
from relay.rewrite.tokens import Keyring, Token


@dataclass(frozen=True, slots=True)
class OfMessage:
    """A signed return-path or reply address: it belongs to one recipient of one message."""

    token: Token


@dataclass(frozen=True, slots=True)
class OfIdentity:
    """The CC tracking address of an identity: its own mailbox forwards here what came back to it."""

    identity: str


@dataclass(frozen=True, slots=True)
class OfOrigin:
    """A rewritten reverse-path (SRS): a bounce of mail we passed on, for whom it came from."""

    reverse_path: str


Destination = OfMessage | OfIdentity | OfOrigin


def destination_of(settings: Settings, keyring: Keyring, address: str, now: float) -> Destination | None:
    """Return what an address stands for at that time, None when it is no signed address at a domain of ours."""
    if domain_of(address) not in return_domains(settings):
        return None
    if (token := token_of_address(keyring, address)) is not None:
        return OfMessage(token)
    if (identity := identity_of(keyring, address, settings.identities)) is not None:
        return OfIdentity(identity)
    reverse_path = original([key for _, key in keyring.keys], address, now)
    return None if reverse_path is None else OfOrigin(reverse_path)


def return_domains(settings: Settings) -> frozenset[str]:
    """Return the domains signed addresses live in."""
    holders = (settings.defaults, *settings.domains.values())
    named = (name.lower() for one in holders for name in (one.return_path, one.reply_domain))
    return frozenset(name for name in named if name)

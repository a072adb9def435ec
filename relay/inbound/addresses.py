"""Parses signed return-path, reply, CC and SRS addresses."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from relay.config.settings import Settings
from relay.mail.canonical import domain_of
from relay.mail.headers import fields
from relay.mail.srs import srs_decode
from relay.rewrite.tokens import ADDRESS_KINDS, Keyring, Kind, Token, identity_of, verify_address_token

_CANDIDATE = re.compile(rb"(?<![A-Za-z0-9._+-])([A-Za-z2-7]{42,47})@")


_ADDRESSEES = frozenset({b"to", b"cc", b"resent-to", b"delivered-to", b"x-original-to", b"envelope-to"})


_SEARCHED = 256 * 1024
"""Octets of a mail that are searched; header, report and returned header come first."""


_MOST = 50
"""Maximum number of candidates to verify."""


def token_of_address(keyring: Keyring, address: str, kinds: Iterable[Kind] = tuple(ADDRESS_KINDS)) -> Token | None:
    """Return the token in the local part of an address, None when there is no valid one."""
    local = address.rpartition("@")[0]
    found = (verify_address_token(keyring, kind, local) for kind in kinds)
    return next((token for token in found if token is not None), None)


def token_in(keyring: Keyring, content: bytes) -> Token | None:
    """Return the first valid token among the addresses in a mail, None when there is none."""
    return next(_tokens(keyring, content), None)


def addressees(content: bytes) -> bytes:
    """Return the header fields that name recipients: those of the author and those added on delivery."""
    return b"".join(one.raw(content) for one in fields(content) if one.name in _ADDRESSEES)


def _tokens(keyring: Keyring, content: bytes) -> Iterator[Token]:
    candidates = dict.fromkeys(found[1].lower() for found in _CANDIDATE.finditer(content, 0, _SEARCHED))
    for local in list(candidates)[:_MOST]:
        token = token_of_address(keyring, f"{local.decode('ascii')}@")
        if token is not None:
            yield token


@dataclass(frozen=True, slots=True)
class MessageAddress:
    """A signed return-path or reply address of one recipient of one message."""

    token: Token


@dataclass(frozen=True, slots=True)
class IdentityAddress:
    """The CC tracking address of an identity, to which its own mailbox forwards returned mail."""

    identity: str


@dataclass(frozen=True, slots=True)
class SrsAddress:
    """A rewritten reverse-path (SRS); bounces of forwarded mail go back to the original `reverse_path`."""

    reverse_path: str


@dataclass(frozen=True, slots=True)
class TestCopyAddress:
    """The signed address that receives the copy of a test mail, for verification to judge."""

    queue_id: str


Destination = MessageAddress | IdentityAddress | SrsAddress | TestCopyAddress


def parse_own_address(settings: Settings, keyring: Keyring, address: str, now: float) -> Destination | None:
    """Parse a signed address at one of relay's domains; else None. `now` decides whether an SRS address expired."""
    if domain_of(address) not in return_domains(settings):
        return None
    if (token := token_of_address(keyring, address)) is not None:
        return TestCopyAddress(token.queue_id) if token.kind is Kind.TEST else MessageAddress(token)
    if (identity := identity_of(keyring, address, settings.identities)) is not None:
        return IdentityAddress(identity)
    reverse_path = srs_decode([key for _, key in keyring.keys], address, now)
    return None if reverse_path is None else SrsAddress(reverse_path)


def return_domains(settings: Settings) -> frozenset[str]:
    """Return the domains of signed addresses."""
    holders = (settings.defaults, *settings.domains.values())
    named = (name.lower() for one in holders for name in (one.return_path, one.reply_domain))
    return frozenset(name for name in named if name)

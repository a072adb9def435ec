"""Parses the addresses of this relay: signed ones, identities, roles and rewritten reverse-paths (SRS)."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from relay.config.settings import Settings
from relay.domains.mail_exchanger import MailExchanger
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.headers import fields
from relay.mail.queue_id import time_of
from relay.mail.srs import srs_decode
from relay.rewrite.tokens import ADDRESS_KINDS, Keyring, Kind, Token, identity_of, verify_address_token

_CANDIDATE = re.compile(rb"(?<![A-Za-z0-9._+-])([A-Za-z2-7]{42,47})@")

_ADDRESSEES = frozenset({b"to", b"cc", b"resent-to", b"delivered-to", b"x-original-to", b"envelope-to"})

_SEARCHED = 256 * 1024
"""Octets of a mail that are searched; header, report and returned header come first."""

_MAX_CANDIDATES = 50
"""Maximum number of candidates to verify."""

TEST_LIFETIME = 86400.0
"""Seconds for which the address of a test mail is valid."""

ROLES = frozenset({"postmaster", "abuse"})
"""Local parts, in any case, that a domain which accepts mail must have."""


@dataclass(frozen=True, slots=True)
class MessageAddress:
    """A signed return-path or reply address of one recipient of one message."""

    token: Token


@dataclass(frozen=True, slots=True)
class UnsubscribeAddress:
    """The signed address of one recipient in List-Unsubscribe: any mail to it unsubscribes."""

    token: Token


@dataclass(frozen=True, slots=True)
class CcAddress:
    """The CC tracking address of an identity, to which its own mailbox forwards returned mail."""

    identity: str


@dataclass(frozen=True, slots=True)
class IdentityAddress:
    """The address of an identity itself, at a domain whose mail comes to this relay."""

    identity: str


@dataclass(frozen=True, slots=True)
class RoleAddress:
    """postmaster@ or abuse@ at a domain whose mail comes to this relay (RFC 5321 section 4.5.1, RFC 2142)."""

    domain: str


@dataclass(frozen=True, slots=True)
class SrsAddress:
    """A rewritten reverse-path (SRS); bounces of forwarded mail go back to the original `reverse_path`."""

    reverse_path: str


@dataclass(frozen=True, slots=True)
class TestCopyAddress:
    """The signed address to which the copy of a test mail is sent."""

    queue_id: str


@dataclass(frozen=True, slots=True)
class ExpiredAddress:
    """A signed address after its end, `ended_at` in Unix seconds."""

    ended_at: float


@dataclass(frozen=True, slots=True)
class UncertainAddress:
    """An address that may be relay's; the mail exchanger of its domain cannot be looked up now."""

    why: str


Destination = (
    MessageAddress
    | UnsubscribeAddress
    | CcAddress
    | IdentityAddress
    | RoleAddress
    | SrsAddress
    | TestCopyAddress
    | ExpiredAddress
    | UncertainAddress
)


def parse_own_address(
    settings: Settings,
    keyring: Keyring,
    address: str,
    exchanger_of: Callable[[str], MailExchanger],
    now: float,
) -> Destination | None:
    """Parse an address of this relay; None for any other. `now` decides whether a signed address has ended.

    Signed addresses are at the domains of the settings. Identities and roles are at domains whose MX is this relay.
    """
    domain = domain_of(address)
    signed = domain in settings.return_domains
    routed_here = signed or domain in settings.mailbox_domains
    if routed_here and (found := _signed_address(settings, keyring, address, now)) is not None:
        return found

    exchanger = exchanger_of(domain)
    own = signed or exchanger.leads_here or domain == settings.server.hostname
    reverse_path = srs_decode([key for _, key in keyring.keys], address, now) if own else None
    if reverse_path is not None:
        return SrsAddress(reverse_path)

    is_identity = canonical(address) in settings.identities
    if not is_identity and canonical(address).rpartition("@")[0] not in ROLES:
        return None
    if not own:
        is_uncertain = exchanger.kind == "unknown" and domain in settings.mailbox_domains and settings.takes_inbound
        return UncertainAddress(exchanger.why) if is_uncertain else None
    return IdentityAddress(canonical(address)) if is_identity else RoleAddress(domain)


def _signed_address(settings: Settings, keyring: Keyring, address: str, now: float) -> Destination | None:
    if (token := token_of_address(keyring, address)) is not None:
        if (ended_at := end_of(settings, token)) < now:
            return ExpiredAddress(ended_at)
        if token.kind is Kind.TEST:
            return TestCopyAddress(token.queue_id)
        return UnsubscribeAddress(token) if token.kind is Kind.LIST_UNSUBSCRIBE else MessageAddress(token)
    identity = identity_of(keyring, address, settings.identities)
    return None if identity is None else CcAddress(identity)


def end_of(settings: Settings, token: Token) -> float:
    """Return the Unix time at which the address with this token ends; its date is that of the queue id.

    A message is known for the retention time, and while it is in the queue. Whether it still is known is decided by
    the store; this end needs no look-up.
    """
    queue = settings.queue
    lifetime = TEST_LIFETIME if token.kind is Kind.TEST else queue.retention + queue.max_send_at + queue.lifetime
    return time_of(token.queue_id) + lifetime


def token_of_address(keyring: Keyring, address: str, kinds: Iterable[Kind] = tuple(ADDRESS_KINDS)) -> Token | None:
    """Return the token in the local part of an address, None when there is no valid one."""
    local = address.rpartition("@")[0]
    found = (verify_address_token(keyring, kind, local) for kind in kinds)
    return next((token for token in found if token is not None), None)


def token_in(keyring: Keyring, content: bytes, kinds: Iterable[Kind] = tuple(ADDRESS_KINDS)) -> Token | None:
    """Return the first valid token of these kinds among the addresses in a mail, None when there is none."""
    return next(_tokens(keyring, content, tuple(kinds)), None)


def return_paths_in(keyring: Keyring, content: bytes) -> frozenset[Token]:
    """Return the tokens of all signed return-paths in a mail."""
    return frozenset(_tokens(keyring, content, (Kind.BOUNCE,)))


def addressees(content: bytes) -> bytes:
    """Return the header fields that name recipients: those of the author and those added on delivery."""
    return b"".join(one.raw(content) for one in fields(content) if one.name in _ADDRESSEES)


def _tokens(keyring: Keyring, content: bytes, kinds: tuple[Kind, ...]) -> Iterator[Token]:
    candidates = dict.fromkeys(found[1].lower() for found in _CANDIDATE.finditer(content, 0, _SEARCHED))
    for local in list(candidates)[:_MAX_CANDIDATES]:
        token = token_of_address(keyring, f"{local.decode('ascii')}@", kinds)
        if token is not None:
            yield token

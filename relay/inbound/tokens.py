"""Finds the signed addresses of ours in what comes back. Pure."""

import re
from collections.abc import Iterable, Iterator

from relay.mail.headers import fields
from relay.rewrite.tokens import ADDRESS_KINDS, Keyring, Kind, Token, verify_address_token

_CANDIDATE = re.compile(rb"(?<![A-Za-z0-9._+-])([A-Za-z2-7]{42,47})@")
_ADDRESSEES = frozenset({b"to", b"cc", b"resent-to", b"delivered-to", b"x-original-to", b"envelope-to"})
_SEARCHED = 256 * 1024
"""Octets of a mail that are searched: header, notice and the returned header come first."""

_MOST = 50
"""Candidates that are verified at most."""


def token_of_address(keyring: Keyring, address: str, kinds: Iterable[Kind] = tuple(ADDRESS_KINDS)) -> Token | None:
    """Return what the local part of an address was signed for, None when it is no token of ours."""
    local = address.rpartition("@")[0]
    found = (verify_address_token(keyring, kind, local) for kind in kinds)
    return next((token for token in found if token is not None), None)


def token_in(keyring: Keyring, content: bytes) -> Token | None:
    """Return the first token of ours among the addresses a mail mentions, None when there is none."""
    return next(_tokens(keyring, content), None)


def addressees(content: bytes) -> bytes:
    """Return the fields of a mail that say whom it is for, as it was written and as it was delivered."""
    return b"".join(one.raw(content) for one in fields(content) if one.name in _ADDRESSEES)


def _tokens(keyring: Keyring, content: bytes) -> Iterator[Token]:
    candidates = dict.fromkeys(found[1].lower() for found in _CANDIDATE.finditer(content, 0, _SEARCHED))
    for local in list(candidates)[:_MOST]:
        token = token_of_address(keyring, f"{local.decode('ascii')}@")
        if token is not None:
            yield token

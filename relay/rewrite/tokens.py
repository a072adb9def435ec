"""Signed tokens in URLs and addresses."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from hmac import compare_digest

from relay.frozen import dataclass
from relay.mail.canonical_address import canonical
from relay.rewrite.token_parts import (
    COMPRESSED,
    MAC,
    TAG,
    TokenParts,
    base64url,
    head_octets,
    read_parts,
    read_url_token,
)
from relay.rewrite.url_compression import compress, decompress

_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")

_MIN_KEY, _MAX_KEY = 16, blake2b.MAX_KEY_SIZE
"""Octets of a key, at least and at most."""


class Kind(StrEnum):
    """Purpose of a token. The value is the letter before it in URLs and addresses."""

    OPEN = "o"
    CLICK = "c"
    UNSUBSCRIBE = "u"
    BOUNCE = "b"
    REPLY = "r"
    LIST_UNSUBSCRIBE = "l"
    """Address of List-Unsubscribe (RFC 2369): any mail to it unsubscribes."""
    VERIFY = "v"
    """Confirmation link in a mail with a code: following it confirms an address."""
    TEST = "t"
    """Address of the copy of a test mail, which comes back to this relay and is checked."""


URL_KINDS = frozenset({Kind.OPEN, Kind.CLICK, Kind.UNSUBSCRIBE, Kind.VERIFY})
ADDRESS_KINDS = frozenset({Kind.BOUNCE, Kind.REPLY, Kind.LIST_UNSUBSCRIBE, Kind.TEST})


@dataclass(frozen=True, slots=True)
class Keyring:
    """Secret keys as (id, 16 to 64 bytes). The first one signs, all verify. Raises ValueError for malformed keys."""

    keys: tuple[tuple[str, bytes], ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError('a keyring needs at least one key, such as "k1:<base64>"')
        seen: set[str] = set()
        for key_id, key in self.keys:
            if _KEY_ID.fullmatch(key_id) is None:
                raise ValueError(f"key id {key_id!r} is not 1 to 32 letters, digits, dots, dashes and underscores")
            if key_id in seen:
                raise ValueError(f"key id {key_id!r} is given twice; each key needs an id of its own")
            if not _MIN_KEY <= len(key) <= _MAX_KEY:
                raise ValueError(f"key {key_id!r} has {len(key)} bytes; {_MIN_KEY} to {_MAX_KEY} are needed")
            seen.add(key_id)


@dataclass(frozen=True, slots=True)
class Token:
    """The content of a token."""

    kind: Kind
    queue_id: str
    number: int
    """Index of the recipient in the message."""
    target: str = ""
    """URL of a click, "" for all other kinds."""


def parse_keyring(texts: Sequence[str]) -> Keyring:
    """Parse configured keys "id:<base64>". Raises ValueError that names the malformed key, without its secret."""
    keys: list[tuple[str, bytes]] = []
    for number, text in enumerate(texts, 1):
        key_id, colon, encoded = text.partition(":")
        if not colon:
            raise ValueError(f'key {number} has no id; it should read "k1:<base64>"')
        try:
            keys.append((key_id.strip(), base64.b64decode(encoded.strip(), validate=True)))
        except ValueError:
            raise ValueError(f'key {number} ({key_id!r}) is not base64; it should read "{key_id}:<base64>"') from None
    return Keyring(tuple(keys))


def new_key(entropy: bytes, key_id: str = "k1") -> str:
    """Return the configuration string of a key made of these random bytes (16 to 64, recommended 32)."""
    Keyring(((key_id, entropy),))
    return f"{key_id}:{base64.b64encode(entropy).decode('ascii')}"


def sign_token(keyring: Keyring, token: Token, *, short: bool = False) -> str:
    """Return the token as base64url without padding, for a URL. With `short`, the target is compressed if that helps.

    Raises ValueError for a kind used in addresses, for a malformed queue id, and for a target of a kind other than
    CLICK.
    """
    if token.kind not in URL_KINDS:
        raise ValueError(f"a {token.kind.name} token belongs in an address: use sign_address_token")
    return base64url(_sign(keyring, token, short=short)).decode("ascii")


def url_token_signer(
    keyring: Keyring, kind: Kind, queue_id: str, recipient: int, base: bytes = b""
) -> Callable[[bytes], bytes]:
    """Return the function that signs URL tokens of one kind and recipient. It maps target octets to URL octets.

    These begin with `base`; without it they are the token alone.
    """
    key_id, key = keyring.keys[0]
    state, head = _keyed(kind, key_id, key), _key_tag(key_id) + head_octets(queue_id, recipient)

    def sign(target: bytes) -> bytes:
        protected = head + target
        mac = state.copy()
        mac.update(protected)
        return base + base64url(mac.digest() + protected)

    return sign


def verify_token(keyring: Keyring, kind: Kind, text: str) -> Token | None:
    """Return the token of a URL, None unless a key of the ring signed it for that kind."""
    read = read_url_token(text) if kind in URL_KINDS else None
    return None if read is None else token_verifier(keyring, kind)(read)


@lru_cache(maxsize=32)
def token_verifier(keyring: Keyring, kind: Kind) -> Callable[[TokenParts], Token | None]:
    """Return the function that makes a token of its parts, None unless a key of the ring signed it for that kind."""
    states: dict[bytes, list[blake2b]] = {}
    for key_id, key in keyring.keys:
        states.setdefault(_key_tag(key_id), []).append(_keyed(kind, key_id, key))

    def verify(parts: TokenParts) -> Token | None:
        mac, protected, queue_id, number, target, is_compressed = parts
        authentic = False
        for initial in states.get(protected[:TAG], ()):
            state = initial.copy()
            state.update(protected)
            authentic |= compare_digest(state.digest(), mac)
        if not authentic:
            return None
        return _with_target(kind, queue_id, number, target, is_compressed) if target else Token(kind, queue_id, number)

    return verify


def sign_address_token(keyring: Keyring, token: Token) -> str:
    """Return the token as 42 to 47 characters of lower-case base32, for the local part of an address.

    Raises ValueError for a kind used in URLs, for a target, and for a malformed queue id.
    """
    if token.kind not in ADDRESS_KINDS:
        raise ValueError(f"a {token.kind.name} token belongs in a URL: use sign_token")
    return base64.b32encode(_sign(keyring, token)).rstrip(b"=").decode("ascii").lower()


def verify_address_token(keyring: Keyring, kind: Kind, text: str) -> Token | None:
    """Return the token of an address in any case, None unless a key of the ring signed it for that kind."""
    if kind not in ADDRESS_KINDS or not text.isascii():
        return None
    encoded = text.upper().encode("ascii")
    try:
        data = base64.b32decode(encoded + b"=" * (-len(encoded) % 8))
    except binascii.Error:
        return None
    read = read_parts(data) if base64.b32encode(data).rstrip(b"=") == encoded else None
    return None if read is None else token_verifier(keyring, kind)(read)


def _sign(keyring: Keyring, token: Token, *, short: bool = False) -> bytes:
    if token.target and token.kind is not Kind.CLICK:
        raise ValueError(f"a {token.kind.name} token has no target")
    key_id, key = keyring.keys[0]
    target, flag = token.target.encode("utf-8", "surrogatepass"), 0
    if short and target and len(compressed := compress(target)) < len(target):
        target, flag = compressed, COMPRESSED
    protected = _key_tag(key_id) + head_octets(token.queue_id, token.number, flag) + target
    mac = _keyed(token.kind, key_id, key).copy()
    mac.update(protected)
    return mac.digest() + protected


def _with_target(kind: Kind, queue_id: str, number: int, target: bytes, is_compressed: bool) -> Token | None:
    """Return the token with its target, None unless it has the form in which `_sign` writes its kind."""
    octets = decompress(target) if is_compressed else target
    if octets is None or kind is not Kind.CLICK:
        return None
    try:
        return Token(kind, queue_id, number, octets.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return None


@lru_cache(maxsize=64)
def _keyed(kind: Kind, key_id: str, key: bytes) -> "blake2b":
    """Return the initial hash state for this kind and key. Callers copy it, because it is cached."""
    return blake2b(key_id.encode("ascii"), key=key, digest_size=MAC, person=b"relay." + kind.value.encode("ascii"))


@lru_cache(maxsize=64)
def _key_tag(key_id: str) -> bytes:
    """Return the octet by which verification finds the key. When two ids share it, both keys are tried."""
    return blake2b(key_id.encode("ascii"), digest_size=TAG, person=b"relay.key").digest()


def cc_address(keyring: Keyring, identity: str, reply_domain: str) -> str:
    """Return the CC tracking address of an identity, signed with the first key."""
    return f"{_local_part(*keyring.keys[0], canonical(identity))}@{reply_domain}"


def identity_of(keyring: Keyring, address: str, identities: Iterable[str]) -> str | None:
    """Return the identity whose CC tracking address this is, by any key of the ring and in any case; else None.

    Only the local part is compared.
    """
    return _by_local_part(keyring, tuple(identities)).get(address.rpartition("@")[0].lower())


@lru_cache(maxsize=8)
def _by_local_part(keyring: Keyring, identities: tuple[str, ...]) -> Mapping[str, str]:
    return {
        _local_part(key_id, key, canonical(identity)): canonical(identity)
        for key_id, key in keyring.keys
        for identity in identities
    }


def _local_part(key_id: str, key: bytes, identity: str) -> str:
    mac = blake2b(key_id.encode("ascii"), key=key, digest_size=MAC, person=b"relay.cc")
    mac.update(b"\0" + identity.encode("utf-8", "surrogateescape"))
    return base64.b32encode(mac.digest()).rstrip(b"=").decode("ascii").lower()

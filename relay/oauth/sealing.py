"""Encrypts refresh tokens, so that a copy of the database holds none that can be used."""

from base64 import b64decode, b64encode
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Key = tuple[str, bytes]
"""Id and octets of a tracker key."""

NONCE = 12
"""Octets of a nonce (NIST SP 800-38D section 8.2)."""


class SealError(ValueError):
    """None of the keys opens a token: its key is gone, or it was changed in the store."""


def seal(token: str, name: str, key: Key, nonce: bytes) -> str:
    """Return the token of an account, encrypted with AES-GCM for that account only."""
    sealed = nonce + _cipher(key).encrypt(nonce, token.encode(), name.encode())
    return f"{key[0]}:{b64encode(sealed).decode()}"


def is_sealed_with(sealed: str, key: Key) -> bool:
    """Whether a token was sealed with this key."""
    return sealed.rpartition(":")[0] == key[0]


def unseal(sealed: str, name: str, keys: Sequence[Key]) -> str:
    """Return a sealed token. Raises SealError."""
    key_id, _, text = sealed.rpartition(":")
    for key in keys:
        if key[0] == key_id:
            try:
                octets = b64decode(text)
                return _cipher(key).decrypt(octets[:NONCE], octets[NONCE:], name.encode()).decode()
            except (InvalidTag, ValueError):
                raise SealError(f"the stored login does not open with the tracker key {key_id!r}") from None
    raise SealError(f"the tracker key {key_id!r} that sealed the login is not there any more")


def _cipher(key: Key) -> AESGCM:
    return AESGCM(HKDF(hashes.SHA256(), 32, salt=None, info=b"relay.oauth").derive(key[1]))

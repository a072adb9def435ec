"""The CC tracking address of an identity: what its own mailbox forwards responses to, so that they are seen. Pure.

It belongs to no message, so it stays the same as long as its key does: a keyed BLAKE2b MAC (RFC 7693) over the
address of the identity, in lower-case base32. The MAC says nothing by itself; whose it is, is found by comparing it
with those of all identities. It is shorter than every token of a message and never taken for one.
"""

import base64
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b

from relay.mail.address import normal
from relay.rewrite.tokens import Keyring

_MAC = 16


def cc_address(keyring: Keyring, identity: str, reply_domain: str) -> str:
    """Return the CC tracking address of an identity: signed by the first key, at the reply domain of its domain."""
    return f"{_local_part(*keyring.keys[0], normal(identity))}@{reply_domain}"


def identity_of(keyring: Keyring, address: str, identities: Iterable[str]) -> str | None:
    """Return which of the identities this is the CC tracking address of, by any key of the ring, in whatever case.

    None when it is nobody's. Only the local part is looked at.
    """
    return _by_local_part(keyring, tuple(identities)).get(address.rpartition("@")[0].lower())


@lru_cache(maxsize=8)
def _by_local_part(keyring: Keyring, identities: tuple[str, ...]) -> Mapping[str, str]:
    return {
        _local_part(key_id, key, normal(identity)): normal(identity)
        for key_id, key in keyring.keys
        for identity in identities
    }


def _local_part(key_id: str, key: bytes, identity: str) -> str:
    mac = blake2b(key_id.encode("ascii"), key=key, digest_size=_MAC, person=b"relay.cc")
    mac.update(b"\0" + identity.encode("utf-8", "surrogateescape"))
    return base64.b32encode(mac.digest()).rstrip(b"=").decode("ascii").lower()

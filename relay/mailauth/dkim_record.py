"""Published DKIM keys (RFC 6376 section 3.6.1), and their comparison with the signing key."""

import base64
import binascii
from dataclasses import dataclass
from typing import Literal

import dkim.crypto

KeyKind = Literal["rsa", "ed25519"]

_KINDS: dict[str, KeyKind] = {"rsa": "rsa", "ed25519": "ed25519"}


MAX_KEY = 4096
"""Octets of a key, at most. The time of dkimpy is quadratic in it."""


class PublishedKeyError(ValueError):
    """The text publishes no valid key; the message completes a sentence that begins with the record."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """The key of a TXT record below `_domainkey`. Empty `material`: the key has been revoked (an empty p=)."""

    kind: KeyKind
    material: bytes
    bits: int
    testing: bool
    exponent: int = 0
    """The public exponent of an RSA key."""

    @property
    def revoked(self) -> bool:
        """Whether the key has been revoked."""
        return not self.material


def tags_of(text: str) -> dict[str, str]:
    """Split a `name=value; …` list and strip white space (RFC 6376 section 3.2). The first value of a name applies.

    Names are case-sensitive; parts without `=` are ignored.
    """
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip(), value.strip())
    return tags


def parse_published_key(text: str) -> PublishedKey:
    """Parse the record of a key; raise PublishedKeyError."""
    tags = tags_of(text)
    if tags.get("v", "DKIM1") != "DKIM1":
        raise PublishedKeyError(f"has v={tags['v']} where v=DKIM1 belongs")
    if "p" not in tags:
        raise PublishedKeyError("has no p=, the public key")

    kind = _KINDS.get(tags.get("k", "rsa"))
    if kind is None:
        raise PublishedKeyError(f'has k={tags["k"]}; there is only "rsa" and "ed25519"')

    try:
        material = base64.b64decode("".join(tags["p"].split()), validate=True)
    except (binascii.Error, ValueError):
        raise PublishedKeyError("has a p= that is not base64: part of it was lost or mangled on the way") from None

    testing = "y" in tags.get("t", "").split(":")
    if not material:
        return PublishedKey(kind, b"", 0, testing)
    if len(material) > MAX_KEY:
        raise PublishedKeyError(f"has a key of more than {MAX_KEY} octets")

    bits, exponent = _size(kind, material)
    return PublishedKey(kind, material, bits, testing, exponent)


def is_cut(record: str, wanted: str) -> bool:
    """Whether a record is a truncated form of the wanted one, as when a DNS panel keeps 255 characters."""
    own, published = tags_of(wanted).get("p", ""), "".join(tags_of(record).get("p", "").split())
    return 0 < len(published) < len(own) and own.startswith(published)


def same_key(record: str, wanted: str) -> bool:
    """Whether both records publish the same valid key, regardless of their format."""
    try:
        published, own = parse_published_key(record), parse_published_key(wanted)
    except PublishedKeyError:
        return False
    return bool(own.material) and (published.kind, published.material) == (own.kind, own.material)


def _size(kind: KeyKind, material: bytes) -> tuple[int, int]:
    """Return the bits of the key and its public exponent, 0 for one that has none."""
    if kind == "ed25519":
        if len(material) != 32:
            raise PublishedKeyError(f"has an Ed25519 key of {len(material)} octets in place of 32")
        return 256, 0
    try:
        parsed = dkim.crypto.parse_public_key(material)  # type: ignore[no-untyped-call]
        return int(parsed["modulus"]).bit_length(), int(parsed["publicExponent"])
    except (dkim.crypto.UnparsableKeyError, ValueError, IndexError, TypeError):
        raise PublishedKeyError("has a p= that is no RSA key: part of it was lost or mangled on the way") from None


def key_name(selector: str, domain: str) -> str:
    """Return the DNS name of a key, without checking it (RFC 6376 section 3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"

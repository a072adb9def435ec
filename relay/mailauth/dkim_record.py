"""A DKIM key as DNS shows it (RFC 6376 section 3.6.1), and how it compares with the one we sign with."""

import base64
import binascii
from dataclasses import dataclass
from typing import Literal

import dkim.crypto

KeyKind = Literal["rsa", "ed25519"]


_KINDS: dict[str, KeyKind] = {"rsa": "rsa", "ed25519": "ed25519"}


class PublishedKeyError(ValueError):
    """The text publishes no key; the message says why, as the rest of a sentence that starts with the record."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """What a TXT record below `_domainkey` publishes. No `material`: the key has been revoked (an empty p=).

    `bits` is the length of an RSA modulus, 256 for Ed25519.
    """

    kind: KeyKind
    material: bytes
    bits: int
    testing: bool

    @property
    def revoked(self) -> bool:
        """Tell whether the record only says that the key is no longer to be believed."""
        return not self.material


def tags_of(text: str) -> dict[str, str]:
    """Split a `name=value; …` list, white space around both taken off (RFC 6376 section 3.2); the first of a name wins.

    Names are compared as they are; what has no `=` is passed over.
    """
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip(), value.strip())
    return tags


def parse_published_key(text: str) -> PublishedKey:
    """Read the record of a key; raise PublishedKeyError when there is none in it."""
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
    return PublishedKey(kind, material, _bits(kind, material), testing)


def is_cut(shown: str, wanted: str) -> bool:
    """Tell whether a record is the beginning of the wanted one: as when a DNS panel keeps 255 characters."""
    ours, theirs = tags_of(wanted).get("p", ""), "".join(tags_of(shown).get("p", "").split())
    return 0 < len(theirs) < len(ours) and ours.startswith(theirs)


def same_key(shown: str, wanted: str) -> bool:
    """Tell whether both records publish the same key, however they are written; no key is the same as none."""
    try:
        theirs, ours = parse_published_key(shown), parse_published_key(wanted)
    except PublishedKeyError:
        return False
    return bool(ours.material) and (theirs.kind, theirs.material) == (ours.kind, ours.material)


def _bits(kind: KeyKind, material: bytes) -> int:
    if kind == "ed25519":
        if len(material) != 32:
            raise PublishedKeyError(f"has an Ed25519 key of {len(material)} octets in place of 32")
        return 256
    try:
        modulus: int = dkim.crypto.parse_public_key(material)["modulus"]  # type: ignore[no-untyped-call]
    except (dkim.crypto.UnparsableKeyError, ValueError, IndexError, TypeError):
        raise PublishedKeyError("has a p= that is no RSA key: part of it was lost or mangled on the way") from None
    return modulus.bit_length()


def key_name(selector: str, domain: str) -> str:
    """Return where a key is looked up (RFC 6376 section 3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"

"""Signing keys and the DNS records that publish them (RFC 6376 section 3.6.1, RFC 8463 section 4)."""

import base64
import functools
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from relay.frozen import dataclass

Algorithm = Literal["rsa-sha256", "ed25519-sha256"]
"""The `a=` values in use. RFC 8301 forbids rsa-sha1."""

ALGORITHMS: Mapping[str, Algorithm] = {"rsa": "rsa-sha256", "ed25519": "ed25519-sha256"}
"""Algorithms by the `k=` of their records, which commands and pages name them by."""

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

MIN_RSA_BITS = 1024
"""Minimum bits of an RSA key; verifiers must not accept shorter ones (RFC 8301 section 3.2)."""

_PKCS1 = padding.PKCS1v15()

_PREHASHED = utils.Prehashed(SHA256())

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"

_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

_STRING_OCTETS = 255


class KeyFaultError(ValueError):
    """The key cannot sign, or its name is not a DNS name; the message names the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, whose public key is published at `<selector>._domainkey.<domain>`.

    Created and checked by `load_key`. The key is stored as unencrypted PKCS#8 PEM, so that the value can be compared
    and sent to worker processes. Each process loads it once.
    """

    domain: str
    selector: str
    algorithm: Algorithm
    pem: bytes = field(repr=False)

    def sign(self, digest: bytes) -> bytes:
        """Sign a SHA-256 digest: RSASSA-PKCS1-v1_5, or Ed25519 over the digest itself (RFC 8463 section 3)."""
        private = _load(self.pem)
        if isinstance(private, Ed25519PrivateKey):
            return private.sign(digest)
        return private.sign(digest, _PKCS1, _PREHASHED)


def load_key(pem: bytes, domain: str, selector: str) -> SigningKey:
    """Check a private key and create the SigningKey of its domain and selector.

    `pem` is an unencrypted RSA key of at least 1024 bits (PKCS#1 or PKCS#8) or an Ed25519 key (PKCS#8), with LF or CRLF
    line ends. Checking the numbers of an RSA key takes some ten milliseconds. Raises KeyFaultError.
    """
    check_names(selector, domain)
    private = _check(pem)
    return SigningKey(domain.lower(), selector, _algorithm(private), _to_pem(private))


def generate_key(algorithm: Algorithm, bits: int = 2048) -> bytes:
    """Generate a private key as PKCS#8 PEM with OpenSSL's random generator. `bits` is the length of an RSA key."""
    if algorithm == "ed25519-sha256":
        return _to_pem(Ed25519PrivateKey.generate())
    if bits < MIN_RSA_BITS:
        raise KeyFaultError(f"an RSA key of {bits} bits is too short for DKIM: at least {MIN_RSA_BITS}, better 2048")
    return _to_pem(generate_private_key(public_exponent=65537, key_size=bits))


def check_names(selector: str, domain: str) -> None:
    """Raise KeyFaultError unless `<selector>._domainkey.<domain>` is a DNS name; the selector may have dots."""
    for what, name in (("domain", domain), ("selector", selector)):
        if not name.isascii():
            raise KeyFaultError(f"the {what} {name!r} is not ASCII: write an international name in its xn-- form")
        if not _NAME.fullmatch(name):
            raise KeyFaultError(f"the {what} {name!r} is not a DNS name: labels of letters, digits and -, dots between")
    if len(selector) + len("._domainkey.") + len(domain) > 253:
        raise KeyFaultError(f"the selector {selector!r} and the domain {domain!r} make a DNS name of over 253 octets")


def record_name(selector: str, domain: str) -> str:
    """Return the DNS name of the public key (RFC 6376 section 3.6.2.1)."""
    check_names(selector, domain)
    return f"{selector}._domainkey.{domain.lower()}"


def dns_record(key: SigningKey) -> str:
    """Return the text of the TXT record that publishes the key.

    RSA is published as SubjectPublicKeyInfo, as `openssl rsa -pubout` writes it (RFC 6376 appendix C), Ed25519 as its
    32 bytes (RFC 8463 section 4.2).
    """
    private = _load(key.pem)
    if isinstance(private, Ed25519PrivateKey):
        kind, public = "ed25519", private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        kind = "rsa"
        public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k={kind}; p={base64.b64encode(public).decode()}"


def zone_line(name: str, text: str) -> str:
    """Format a TXT record as a zone file line, its text in strings of at most 255 octets (RFC 1035 section 3.3).

    A resolver joins the strings without a separator (RFC 6376 section 3.6.2.2).
    """
    pieces = (text[at : at + _STRING_OCTETS] for at in range(0, len(text), _STRING_OCTETS))
    strings = " ".join('"' + piece.replace("\\", r"\\").replace('"', r"\"") + '"' for piece in pieces)
    return f"{name.rstrip('.')}. IN TXT {strings}"


def _check(pem: bytes) -> PrivateKey:
    try:
        private = load_pem_private_key(pem.strip(), password=None)
    except TypeError:
        raise KeyFaultError("the key is encrypted: store it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise KeyFaultError(_pem_fault(pem, fault)) from None

    if isinstance(private, Ed25519PrivateKey):
        return private
    if not isinstance(private, RSAPrivateKey):
        raise KeyFaultError("DKIM signs with RSA or Ed25519 keys; this is another kind of key")
    if private.key_size < MIN_RSA_BITS:
        raise KeyFaultError(
            f"the RSA key has {private.key_size} bits; verifiers refuse less than {MIN_RSA_BITS}: use 2048"
        )

    return private


def _pem_fault(pem: bytes, fault: Exception) -> str:
    if b"-----BEGIN " not in pem:
        return "this is no PEM file: it should begin with -----BEGIN PRIVATE KEY-----"
    if b"PRIVATE KEY-----" not in pem:
        return "the PEM file holds no private key: it should begin with -----BEGIN PRIVATE KEY-----"
    return f"the private key cannot be read: {fault}"


@functools.lru_cache(maxsize=256)
def _load(pem: bytes) -> PrivateKey:
    """Load a key checked by `load_key`, without checking again: that would delay the first message of each process."""
    private = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(private, RSAPrivateKey | Ed25519PrivateKey)
    return private


def _algorithm(private: PrivateKey) -> Algorithm:
    return "ed25519-sha256" if isinstance(private, Ed25519PrivateKey) else "rsa-sha256"


def _to_pem(private: PrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

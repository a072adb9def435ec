"""Signed assertions (RFC 7523): a service account of Google, or an application with a certificate."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Literal

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from relay.config.oauth_keys import certificate_of, rsa_key, service_account_of

Algorithm = Literal["RS256", "PS256"]
"""Signature of a token (RFC 7518 sections 3.3 and 3.5)."""

_PADDINGS: Mapping[Algorithm, padding.AsymmetricPadding] = {
    "RS256": padding.PKCS1v15(),
    "PS256": padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH),
}

LIFETIME = 3600
"""Seconds that the assertion of a service account is valid, at most what Google takes."""

CLIENT_LIFETIME = 600
"""Seconds that the assertion of a client is valid."""


def service_account_assertion(key_file: str, subject: str, scope: str, now: float) -> str:
    """Return the assertion with which a service account asks for a token of a mailbox, by domain-wide delegation."""
    account = service_account_of(key_file)
    claims = {
        "iss": account["client_email"],
        "sub": subject,
        "aud": account["token_uri"],
        "scope": scope,
        "iat": int(now),
        "exp": int(now) + LIFETIME,
    }
    header = {"kid": account["private_key_id"]} if isinstance(account.get("private_key_id"), str) else {}
    return _signed(header, claims, account["private_key"])


def client_assertion(
    pem: str, client_id: str, audience: str, now: float, unique: str, algorithm: Algorithm = "RS256"
) -> str:
    """Return the assertion by which an application proves itself with its certificate (RFC 7521 section 4.2)."""
    certificate = certificate_of(pem)
    der = certificate.public_bytes(serialization.Encoding.DER)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": unique,
        "nbf": int(now),
        "exp": int(now) + CLIENT_LIFETIME,
    }
    return _signed({"x5t#S256": _encoded(digest.finalize())}, claims, pem, algorithm)


def _signed(header: Mapping[str, str], claims: Mapping[str, object], pem: str, algorithm: Algorithm = "RS256") -> str:
    """Return a signed JSON Web Token (RFC 7519)."""
    parts = ({"alg": algorithm, "typ": "JWT", **header}, claims)
    signed = ".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    signature = rsa_key(pem).sign(signed.encode(), _PADDINGS[algorithm], hashes.SHA256())
    return f"{signed}.{_encoded(signature)}"


def _encoded(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()

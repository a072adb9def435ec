"""Keys with which an application proves itself to a token endpoint. Loads cryptography."""

import json
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

if TYPE_CHECKING:
    from cryptography import x509

SERVICE_ACCOUNT = ("client_email", "private_key", "token_uri")
"""Members of the key file of a service account that are used."""


def service_account_of(text: str) -> dict[str, Any]:
    """Return the key file of a service account. Raises ValueError, which never has the key."""
    try:
        values = json.loads(text)
    except ValueError:
        raise ValueError("is not JSON") from None
    if not isinstance(values, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004  read from a file
    missing = next((key for key in SERVICE_ACCOUNT if not isinstance(values.get(key), str)), "")
    if missing:
        raise ValueError(f'has no "{missing}"')
    rsa_key(values["private_key"])
    return values


def rsa_key(pem: str) -> RSAPrivateKey:
    """Return the private key of a PEM text. Raises ValueError, which never has the key."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError("has no private key in PEM form without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("has a key that is not RSA")  # noqa: TRY004  read from a file
    return key


def certificate_of(pem: str) -> "x509.Certificate":
    """Return the first certificate of a PEM text. Raises ValueError."""
    from cryptography import x509  # Not at the top: only logins with a certificate need it.

    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise ValueError("has no certificate in PEM form") from None

"""Time-based one-time passwords (RFC 6238) as apps show them: SHA-1, six digits, a new one every 30 seconds."""

import hmac
from base64 import b32decode, b32encode
from urllib.parse import quote, urlencode

STEP = 30.0
"""Seconds for which a code is shown."""

DRIFT = 1
"""Steps by which the clock of the app may be off, either way (RFC 6238 section 5.2)."""

SECRET_OCTETS = 20
"""Octets of a secret (RFC 4226 section 4: 160 bits)."""


def code_of(secret: bytes, step: int) -> str:
    """Return the code of a step (RFC 4226 section 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset : offset + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def step_of(secret: bytes, code: str, now: float) -> int | None:
    """Return the step whose code this is, within DRIFT of now; None for any other code. Spaces are ignored."""
    present, given = int(now // STEP), "".join(code.split()).encode()
    found = [
        step
        for step in range(present - DRIFT, present + DRIFT + 1)
        if hmac.compare_digest(code_of(secret, step).encode(), given)
    ]
    return found[0] if found else None


def secret_text(secret: bytes) -> str:
    """Return the secret as apps take it when it is typed: base32."""
    return b32encode(secret).decode()


def secret_octets(text: str) -> bytes:
    """Return the octets of `secret_text`."""
    return b32decode(text)


def app_link(secret: bytes, address: str, issuer: str) -> str:
    """Return the link that apps open, as a QR code shows it too."""
    query = urlencode({"secret": secret_text(secret), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{quote(f'{issuer}:{address}', safe='@:')}?{query}"

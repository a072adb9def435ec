"""Signatures of posts: Standard Webhooks, and those of the vendors. Pure.

Keys are of two kinds. An HMAC key is shared with the receiver, and a private key stays here while the receiver gets its
public key. `whsec_` and `whsk_` are the forms of Standard Webhooks (specification 1.0.0, "Signature scheme").
"""

import hmac
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from relay.config.webhooks import SECRET, parse_webhook_key

PUBLIC = "whpk_"
"""Prefix of a public Ed25519 key."""


@dataclass(frozen=True, slots=True)
class HmacKey:
    """A key shared with the receiver."""

    octets: bytes

    def sign(self, content: bytes) -> str:
        """Return the signature of Standard Webhooks, version v1."""
        return f"v1,{b64encode(hmac.digest(self.octets, content, 'sha256')).decode()}"


@dataclass(frozen=True, slots=True)
class Ed25519Key:
    """A private key; the receiver verifies by the public one."""

    seed: bytes

    def sign(self, content: bytes) -> str:
        """Return the signature of Standard Webhooks, version v1a."""
        signature = ed25519.Ed25519PrivateKey.from_private_bytes(self.seed).sign(content)
        return f"v1a,{b64encode(signature).decode()}"

    @property
    def public(self) -> str:
        """The public key as `whpk_…`."""
        key = ed25519.Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return PUBLIC + b64encode(key.public_bytes_raw()).decode()


Key = HmacKey | Ed25519Key


def parse_key(text: str) -> Key:
    """Return the key of "whsec_…" or "whsk_…". Raises ValueError."""
    prefix, octets = parse_webhook_key(text)
    return HmacKey(octets) if prefix == SECRET else Ed25519Key(octets)


def new_secret(octets: bytes) -> str:
    """Return an HMAC key of these random octets, as `whsec_…`."""
    return SECRET + b64encode(octets).decode()


def standard_headers(keys: Sequence[Key], message_id: str, now: float, body: bytes) -> dict[str, str]:
    """Return the header fields of Standard Webhooks, with a signature by each key."""
    at = str(int(now))
    content = b".".join((message_id.encode(), at.encode(), body))
    signatures = " ".join(key.sign(content) for key in keys)
    headers = {"webhook-id": message_id, "webhook-timestamp": at}
    return headers | ({"webhook-signature": signatures} if signatures else {})


def verify_standard(keys: Sequence[Key], headers: dict[str, str], body: bytes, now: float) -> str:
    """Return why a post does not verify, "" if it does: for `relay webhook listen`. Names are in lower case."""
    message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split()
    if not message_id or not at or not given:
        return "it has no webhook-id, webhook-timestamp and webhook-signature"
    if not at.isdigit() or abs(now - int(at)) > TOLERANCE:
        return f"its time differs by more than {TOLERANCE:.0f} seconds: {at}"
    expected = standard_headers(keys, message_id, int(at), body).get("webhook-signature", "").split()
    if any(hmac.compare_digest(one, other) for one in expected for other in given):
        return ""
    return "no signature in it is by a key of this webhook"


TOLERANCE = 300.0
"""Seconds by which the time of a post may differ from that of the receiver."""


def sendgrid_key(key: Key) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of the format `sendgrid`. It is derived from the key of the webhook: there is one secret."""
    seed = key.octets if isinstance(key, HmacKey) else key.seed
    number = int.from_bytes(b"".join(sha256(b"sendgrid %d " % part + seed).digest() for part in range(2)), "big")
    return ec.derive_private_key(number % (_P256_ORDER - 1) + 1, ec.SECP256R1())


_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the group of P-256 (FIPS 186-5)."""


def sendgrid_headers(key: ec.EllipticCurvePrivateKey, now: float, body: bytes) -> dict[str, str]:
    """Return the header fields of SendGrid's signed event webhook: ECDSA over time and body."""
    at = str(int(now))
    signature = key.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "X-Twilio-Email-Event-Webhook-Timestamp": at,
        "X-Twilio-Email-Event-Webhook-Signature": b64encode(signature).decode(),
    }


def sendgrid_public(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the public key as SendGrid shows it: base64 of the SubjectPublicKeyInfo."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return b64encode(key.public_key().public_bytes(serialization.Encoding.DER, form)).decode()


def mailgun_signature(key: str, now: float, token: str) -> dict[str, str]:
    """Return Mailgun's signature: HMAC over time and token. The body is not signed, so each post has a fresh token."""
    at = str(int(now))
    made = hmac.digest(key.encode(), (at + token).encode(), "sha256").hex()
    return {"timestamp": at, "token": token, "signature": made}

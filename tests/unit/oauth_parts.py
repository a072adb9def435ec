"""Values of OAuth2 that tests share: keys, tables, accounts, a clock, an endpoint in memory, a store in memory."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.oauth.account import Account, accounts_of
from relay.oauth.ports import StoredToken
from relay.oauth.token_requests import Form
from relay.oauth.token_responses import Grant, Refusal
from relay.oauth.tokens import AccessToken, NoToken

KEYS = (("k1", bytes(range(32))),)


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def key_pem() -> str:
    return private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def certificate_pem() -> str:
    """Return a certificate with its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key().public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=30))
        .sign(private_key(), hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode() + key_pem()


def service_account(**more: str) -> str:
    values = {
        "type": "service_account",
        "client_email": "relay@project.iam.gserviceaccount.com",
        "private_key_id": "key-1",
        "private_key": key_pem(),
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps({**values, **more})


MICROSOFT: Mapping[str, Any] = {"preset": "microsoft", "tenant": "acme.test", "client_id": "app", "client_secret": "s"}

USER: Mapping[str, Any] = {
    "preset": "custom",
    "flow": "user",
    "client_id": "app",
    "token_url": "https://login.test/token",
    "device_url": "https://login.test/device",
}


def settings_with(oauth: Mapping[str, Any], **provider: Any) -> Settings:
    one = {"name": "up", "host": "smtp.test", "username": "billing@acme.test", "oauth": dict(oauth), **provider}
    return Settings.model_validate({"provider": [one]})


def account_of(oauth: Mapping[str, Any]) -> Account:
    return accounts_of(settings_with(oauth))["up"]


@dataclass
class Moments:
    """A clock that a test sets."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Endpoint:
    """Answers with `next` one after the other, then with a new token; `before` runs in each request."""

    life: float = 3600.0
    next: deque[Grant | Refusal] = field(default_factory=deque)
    forms: list[Form] = field(default_factory=list)
    before: Callable[[], Any] | None = None

    async def __call__(self, url: str, form: Form) -> Grant | Refusal:
        self.forms.append(form)
        number = len(self.forms)
        if self.before is not None:
            await self.before()
        return self.next.popleft() if self.next else Grant(f"access-{number}", self.life)


@dataclass
class MemoryTokens:
    """A RefreshTokenStore of one process; it fails `failures` times at `fails_at`."""

    rows: dict[str, StoredToken] = field(default_factory=dict)
    held: dict[str, tuple[str, float]] = field(default_factory=dict)
    fails_at: str = ""
    failures: int = 0

    async def tokens(self) -> Sequence[StoredToken]:
        return list(self.rows.values())

    async def find(self, name: str) -> StoredToken | None:
        return self.rows.get(name)

    async def lease(self, name: str, holder: str, now: float, until: float) -> StoredToken | None:
        self._fail("lease")
        other, end = self.held.get(name, ("", 0.0))
        if name not in self.rows or (other not in ("", holder) and now < end):
            return None
        self.held[name] = (holder, until)
        return self.rows[name]

    async def rotate(self, taken: StoredToken, sealed: str) -> bool:
        self._fail("rotate")
        if self.rows.get(taken.name) != taken:
            return False
        self.rows[taken.name] = replace(taken, sealed=sealed, version=taken.version + 1)
        self.held.pop(taken.name, None)
        return True

    async def release(self, name: str, holder: str) -> None:
        if self.held.get(name, ("", 0.0))[0] == holder:
            del self.held[name]

    async def put(self, name: str, sealed: str, now: float) -> None:
        version = self.rows[name].version + 1 if name in self.rows else 1
        self.rows[name] = StoredToken(name, sealed, version, now)

    async def delete(self, name: str) -> bool:
        return self.rows.pop(name, None) is not None

    def _fail(self, step: str) -> None:
        if step == self.fails_at and self.failures:
            self.failures -= 1
            raise StoreError("disk full")


class NoTokens:
    """The tokens of a configuration without OAuth2."""

    async def token(self, name: str) -> AccessToken | NoToken:
        raise KeyError(name)

    async def renewed(self, name: str, refused: AccessToken) -> AccessToken | NoToken:
        raise KeyError(name)

"""Credentials: the right secret of a known name is the only one that authenticates."""

from collections import Counter

import pytest

from relay.config.secret_hash import SecretHash, hash_secret
from relay.config.settings import Settings
from relay.smtp.auth import has_credential

SETTINGS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test"},
        "credentials": {"app1": {"secret_hash": hash_secret("s3cret", bytes(16))}},
    }
)


async def test_the_secret_of_a_credential_authenticates() -> None:
    assert await has_credential(SETTINGS, "app1", "s3cret")


@pytest.mark.parametrize(("username", "secret"), [("app1", "wrong"), ("app1", ""), ("app2", "s3cret"), ("app2", "")])
async def test_other_names_and_secrets_do_not(username: str, secret: str) -> None:
    assert not await has_credential(SETTINGS, username, secret)


def _scrypt(n: int) -> str:
    return f"scrypt:{n}:1:1:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


MIXED = Settings.model_validate(
    {
        "credentials": {
            **{name: {"secret_hash": hash_secret("s3cret", bytes(16))} for name in ("fast1", "fast2")},
            **{name: {"secret_hash": _scrypt(1024)} for name in ("slow1", "slow2")},
            "slowest": {"secret_hash": _scrypt(4096)},
        }
    }
)


@pytest.mark.parametrize("username", ["fast1", "slow2", "slowest", "nobody", ""])
async def test_a_refusal_computes_the_same_hashes_for_every_name(
    monkeypatch: pytest.MonkeyPatch, username: str
) -> None:
    computed: Counter[tuple[str, int]] = Counter()
    compute = SecretHash.of

    def counted(self: SecretHash, secret: str) -> bytes:
        computed[self.scheme, self.n] += 1
        return compute(self, secret)

    monkeypatch.setattr(SecretHash, "of", counted)
    assert not await has_credential(MIXED, username, "wrong")
    assert computed == {("blake2b", 0): 1, ("scrypt", 1024): 1, ("scrypt", 4096): 1}


async def test_another_credential_of_the_same_secret_does_not_authenticate() -> None:
    assert not await has_credential(MIXED, "slow1", "s3cret")
    assert await has_credential(MIXED, "fast2", "s3cret")

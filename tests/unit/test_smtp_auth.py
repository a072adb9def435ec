"""Credentials: the right secret of a known name is the only one that authenticates."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from relay.config.credentials import RANDOM_OCTETS, new_key, parse_key
from relay.config.secret_hash import SecretHash, hash_secret
from relay.config.settings import Settings
from relay.submission.credential_keys import REVOKED, Authenticated, CredentialKeys, find_credential
from relay.submission.ports import KeyUse

SETTINGS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test"},
        "credentials": {"app1": {"secret_hash": hash_secret("s3cret", bytes(16))}},
    }
)


def test_the_secret_of_a_credential_authenticates() -> None:
    assert find_credential(SETTINGS, "app1", "s3cret")


@pytest.mark.parametrize(("username", "secret"), [("app1", "wrong"), ("app1", ""), ("app2", "s3cret"), ("app2", "")])
def test_other_names_and_secrets_do_not(username: str, secret: str) -> None:
    assert not find_credential(SETTINGS, username, secret)


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
def test_a_refusal_computes_the_same_hashes_for_every_name(monkeypatch: pytest.MonkeyPatch, username: str) -> None:
    computed: Counter[tuple[str, int]] = Counter()
    compute = SecretHash.of

    def counted(self: SecretHash, secret: str) -> bytes:
        computed[self.scheme, self.n] += 1
        return compute(self, secret)

    monkeypatch.setattr(SecretHash, "of", counted)
    assert not find_credential(MIXED, username, "wrong")
    assert computed == {("blake2b", 0): 1, ("scrypt", 1024): 1, ("scrypt", 4096): 1}


def test_another_credential_of_the_same_secret_does_not_authenticate() -> None:
    assert not find_credential(MIXED, "slow1", "s3cret")
    assert find_credential(MIXED, "fast2", "s3cret")


KEY = new_key("app_1.x", bytes(range(RANDOM_OCTETS)))

OLD = hash_secret("old secret", b"a" * 16)

ROTATING = Settings.model_validate(
    {
        "credentials": {
            "app_1.x": {"secret_hash": [OLD, hash_secret(KEY, b"b" * 16)]},
            "apikey": {"secret_hash": hash_secret("other", b"c" * 16)},
        }
    }
)


class TestKeys:
    def test_a_key_names_its_credential(self) -> None:
        assert KEY.startswith("rk_app_1.x_")
        assert parse_key(KEY) == ("app_1.x", KEY)
        assert parse_key(f"AccessKey {KEY}") == ("app_1.x", KEY)
        assert parse_key("s3cret") == ("", "s3cret")

    @pytest.mark.parametrize("username", ["app_1.x", "SMTP_Injection", "SMTP_Injection:X-MSYS-SUBACCOUNT=1", KEY, ""])
    @pytest.mark.parametrize("form", ["{}", "AccessKey {}"])
    def test_it_works_with_any_user_name(self, username: str, form: str) -> None:
        found = find_credential(ROTATING, username, form.format(KEY))
        assert found is not None
        assert found.credential == "app_1.x"

    def test_a_user_name_that_is_a_credential_is_that_credential(self) -> None:
        assert find_credential(ROTATING, "apikey", KEY) is None

    def test_both_secrets_of_a_rotation_work_and_differ_by_their_fingerprint(self) -> None:
        old, new = (find_credential(ROTATING, "app_1.x", secret) for secret in ("old secret", KEY))
        assert old is not None
        assert new is not None
        assert old.key != new.key

    @pytest.mark.parametrize("changed", [KEY[:-1] + "!", KEY[:-1], KEY.replace("app_1.x", "other"), KEY.lower()])
    def test_a_changed_key_does_not(self, changed: str) -> None:
        assert find_credential(ROTATING, "x", changed) is None

    @pytest.mark.parametrize("username", ["app_1.x", "apikey", "nobody"])
    def test_a_refusal_takes_as_many_hashes_for_every_name(
        self, monkeypatch: pytest.MonkeyPatch, username: str
    ) -> None:
        computed: Counter[str] = Counter()
        compute = SecretHash.of

        def counted(self: SecretHash, secret: str) -> bytes:
            computed["x"] += 1
            return compute(self, secret)

        monkeypatch.setattr(SecretHash, "of", counted)
        assert find_credential(ROTATING, username, "wrong") is None
        assert computed == {"x": 2}


class Store:
    """Keeps the keys in memory."""

    def __init__(self) -> None:
        self.known: dict[str, KeyUse] = {}
        self.revoked: list[str] = []

    async def keys(self) -> list[KeyUse]:
        return [*self.known.values(), *(KeyUse(key, "", revoked_at=1.0) for key in self.revoked)]

    async def note_uses(self, uses: Sequence[KeyUse]) -> None:
        self.known |= {one.key: one for one in uses}

    async def revoke(self, keys: Sequence[KeyUse]) -> None:
        self.revoked += [one.key for one in keys]


async def test_the_last_use_is_written_at_most_once_a_minute() -> None:
    store, now = Store(), [1000.0]
    keys = CredentialKeys(store, lambda: now[0])
    for second, written in ((0, 1000.0), (59, 1000.0), (60, 1060.0)):
        now[0] = 1000.0 + second
        found = await keys.authenticate(ROTATING, "x", KEY)
        assert found is not None
        await keys.refresh()
        assert store.known[found.key].used_at == written


async def test_a_revoked_key_authenticates_nobody_and_ends_its_sessions_on_every_node() -> None:
    store = Store()
    first, second = (CredentialKeys(store, lambda: 1000.0) for _ in range(2))
    found = await second.authenticate(ROTATING, "x", KEY)
    assert isinstance(found, Authenticated)
    await first.revoke("app_1.x", [found.key])
    await second.refresh()
    for keys in (first, second):
        assert await keys.authenticate(ROTATING, "x", KEY) is None
        assert keys.refusal(found.key) == REVOKED
        assert keys.refusal("") is None
    assert await second.authenticate(ROTATING, "app_1.x", "old secret")


async def test_a_read_that_began_before_a_revocation_does_not_undo_it() -> None:
    class SlowStore(Store):
        reading, go_on = asyncio.Event(), asyncio.Event()

        async def keys(self) -> list[KeyUse]:
            found = await super().keys()
            self.reading.set()
            await self.go_on.wait()
            return found

    store = SlowStore()
    keys = CredentialKeys(store, lambda: 1000.0)
    found = await keys.authenticate(ROTATING, "x", KEY)
    assert found is not None
    reading = asyncio.create_task(keys.refresh())
    await store.reading.wait()
    await keys.revoke("app_1.x", [found.key])
    store.go_on.set()
    await reading
    assert await keys.authenticate(ROTATING, "x", KEY) is None

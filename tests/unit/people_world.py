"""People who log in, over a real store, with hashes that cost little."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from relay.config.console import Console
from relay.config.secret_hash import hash_password
from relay.people import login
from relay.people.audit_trail import AuditTrail
from relay.people.grants import SignedIn
from relay.people.login import LoggedIn, People
from relay.people.passwords import new_code
from relay.people.totp import code_of
from relay.storage.sqlite.store import SqliteStore

NOW = 1_800_000_000.0
CODE = new_code(bytes(range(10)))
OTHER_CODE = new_code(bytes(range(10, 20)))
PASSWORD = "harbour lights at dawn"
CHEAP = (2, 1, 1)
JANE, CLIENT = "jane@acme.test", "192.0.2.7"


def hashed(code: str) -> str:
    return hash_password(code, b"saltsalt", CHEAP)


@dataclass
class World:
    """People with a configuration and a clock that tests change."""

    store: SqliteStore
    now: float = NOW
    settings: dict[str, Any] = field(default_factory=dict)
    people: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    keys: list[tuple[str, bytes]] = field(default_factory=lambda: [("k1", b"1" * 32)])

    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.people[JANE] = {"role": "operator", "code_hash": hashed(CODE)}
        numbers = count()
        self.service = People(
            self.console,
            self.store.accounts,
            self.store.sessions,
            AuditTrail(self.store.changes, self.log, lambda: self.now, lambda: f"c{next(numbers)}"),
            keys=lambda: self.keys,
            clock=lambda: self.now,
            random=lambda octets: sha256(str(next(numbers)).encode()).digest()[:octets],
        )

    def log(self, line: str, /, **fields: object) -> None:
        self.lines.append((line, fields))

    def console(self) -> Console:
        return Console.model_validate(self.settings | {"people": self.people})

    async def log_in(self, password: str, code: str = "", client: str = CLIENT, address: str = JANE) -> Any:
        return await self.service.log_in(address, password, code, client=client)

    async def token(self, password: str, code: str = "") -> str:
        found = await self.log_in(password, code)
        assert isinstance(found, LoggedIn), found
        return found.token

    async def signed_in(self, token: str) -> SignedIn:
        found = await self.service.signed_in(token)
        assert found is not None
        return found

    async def with_password(self) -> str:
        """Return the token of a session after the first login."""
        first = await self.signed_in(await self.token(CODE))
        done = await self.service.set_password(first, CODE, PASSWORD, PASSWORD, client=CLIENT)
        assert isinstance(done, LoggedIn), done
        return done.token

    async def with_app(self, secret: bytes) -> None:
        signed_in = await self.signed_in(await self.with_password())
        code = code_of(secret, int(self.now // 30))
        assert await self.service.confirm_app(signed_in, secret, code, client=CLIENT) is None


@pytest.fixture
async def world_at_full_cost(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose hashes of passwords take as long as those of a relay."""
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    yield World(store)
    await store.close()


@pytest.fixture
async def world(world_at_full_cost: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(login, "hash_password", partial(hash_password, cost=CHEAP))
    monkeypatch.setattr(login, "_NOBODY", hash_password("", bytes(16), CHEAP))
    return world_at_full_cost


SECRET = b"12345678901234567890"

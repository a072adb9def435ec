"""The addresses kept in memory: they spare the database questions and never change an answer."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from relay.storage import unsubscribes
from relay.storage.database import Connection, Database
from relay.storage.sqlite.store import SqliteStore
from relay.storage.unsubscribes import UnsubscribeTable
from relay.suppression.unsubscribes import Unsubscribe

NOW = 1_800_000_000.0

T = TypeVar("T")


@dataclass
class Asked:
    """A database that counts how often it is read."""

    database: Database
    reads: int = field(default=0)

    async def read(self, operation: Callable[[Connection], T]) -> T:
        self.reads += 1
        return await self.database.read(operation)

    async def write(self, operation: Callable[[Connection], T]) -> T:
        return await self.database.write(operation)


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    yield Asked(store.database)
    await store.close()


def of(number: int) -> Unsubscribe:
    return Unsubscribe(f"u{number}@x.test", "acme.test", "spring", "page", "A", NOW)


async def test_the_database_is_asked_about_listed_addresses_only(asked: Asked) -> None:
    listed = UnsubscribeTable(asked)
    await listed.load()
    asked.reads = 0
    assert await listed.listed(["u1@x.test"]) == {}
    await listed.add([of(1)])
    assert await listed.listed(["u2@x.test"]) == {}
    assert asked.reads == 0
    assert set(await listed.listed(["U1@x.test", "u2@x.test"])) == {"u1@x.test"}
    assert asked.reads == 1


async def test_what_is_on_the_list_at_the_start_is_known(asked: Asked) -> None:
    await UnsubscribeTable(asked).add([of(1)])
    listed = UnsubscribeTable(asked)
    await listed.load()
    assert set(await listed.listed(["u1@x.test"])) == {"u1@x.test"}


async def test_a_list_too_long_for_memory_is_asked_each_time(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsubscribes, "MAX_IN_MEMORY", 3)
    growing = UnsubscribeTable(asked)
    await growing.load()
    await growing.add([of(number) for number in range(4)])
    again = UnsubscribeTable(asked)
    await again.load()
    for listed in (growing, again):
        asked.reads = 0
        assert await listed.listed(["v@x.test"]) == {}
        assert set(await listed.listed(["u3@x.test"])) == {"u3@x.test"}
        assert asked.reads == 2

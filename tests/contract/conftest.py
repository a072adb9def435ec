"""The stores the contract holds for. Another one joins by another parameter of `opener`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from relay.storage.postgres.store import PostgresStore
from relay.storage.sqlite.store import SqliteStore
from relay.storage.store import Store

Opener = Callable[[float], Awaitable[Store]]
"""Opens the same store at a time; again after `close`, as a later start of the program would."""

NOW = 1_800_000_000.0


@pytest.fixture(params=["sqlite", "postgres"])
async def opener(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    opened: list[Store] = []
    url = request.getfixturevalue("tables") if request.param == "postgres" else ""

    async def open_store(now: float) -> Store:
        opened.append(await open_at(tmp_path, url, now))
        return opened[-1]

    yield open_store
    for store in opened:
        await store.close()


async def open_at(folder: Path, url: str, now: float) -> Store:
    """Open the store in a folder, or that of a PostgreSQL URL with the folder as data directory."""
    if url:
        return await PostgresStore.open(url, folder, now=now)
    return await SqliteStore.open(folder / "relay.db", now=now)


@pytest.fixture
async def store(opener: Opener) -> Store:
    return await opener(NOW)

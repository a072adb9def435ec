"""The stores the contract holds for. Another one joins by another parameter of `opener`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest

from relay.events.ports import EventStore
from relay.queue.ports import LimitStore, QueueOffice, QueueStore
from relay.reports.ports import StoryStore
from relay.storage.sqlite import SqliteStore


class Store(QueueStore, QueueOffice, LimitStore, EventStore, StoryStore, Protocol):
    """Everything a store is."""

    async def check(self) -> None: ...

    async def close(self) -> None: ...


Opener = Callable[[float], Awaitable[Store]]
"""Opens the same store at a time; again after `close`, as a later start of the program would."""

NOW = 1_800_000_000.0


@pytest.fixture(params=["sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    async def open_sqlite(now: float) -> Store:
        return await SqliteStore.open(tmp_path / "relay.db", now=now)

    return {"sqlite": open_sqlite}[request.param]


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[Store]:
    opened = await opener(NOW)
    yield opened
    await opened.close()

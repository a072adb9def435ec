"""What several integration tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.cluster import Cluster


@pytest.fixture
async def cluster(tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setattr("relay.storage.postgres.heartbeat.HEARTBEAT", 0.1)
    # What one node is notified of, it must not find by its own look.
    monkeypatch.setattr("relay.storage.postgres.store.POLL_INTERVAL", 3600.0)
    made = Cluster(tables, tmp_path)
    yield made
    for store in made.stores:
        await store.close()

"""A disk that the queue itself has filled ends to be full when its mail is delivered, without a restart."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from relay.events.ports import StoreError
from relay.queue.entry import State
from relay.storage.sqlite.store import SqliteStore
from tests.contract.values import NOW, ROOMY, accepted, settle

LIMIT = 12 << 20
"""Octets of a file, at most: what a quota does."""

CONTENT = b"Subject: large\r\n\r\n" + b"C" * 400_000


@pytest.fixture
def limited() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def fill(store: SqliteStore) -> int:
    """Accept mail until the store is full; return how many."""
    for number in range(1000):
        try:
            await store.queue.enqueue(accepted(f"Q{number:03}", content=CONTENT))
        except StoreError:
            return number
    raise AssertionError("the store never was full")


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("version", ["new", "older"])
async def test_mail_is_accepted_again_when_what_filled_the_disk_is_delivered(tmp_path: Path, version: str) -> None:
    """A file of an older version keeps its free pages (auto_vacuum 0): they count as space."""
    file = tmp_path / "relay.db"
    store = await SqliteStore.open(file, now=NOW)
    if version == "older":
        await store.close()
        with closing(sqlite3.connect(file)) as raw:
            raw.executescript(
                "PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM; PRAGMA journal_mode = WAL"
            )
        store = await SqliteStore.open(file, now=NOW)

    for _ in range(2):
        count = await fill(store)
        assert count > 5
        with pytest.raises(StoreError, match="too little space"):
            await store.check()

        while claims := await store.queue.claim(NOW, ROOMY):
            await store.queue.apply([settle(claimed, State.DELIVERED, NOW) for claimed in claims])
        await store.check()
        await store.queue.purge(NOW + 1)
    assert (file.stat().st_size < LIMIT // 2) is (version == "new")
    await store.close()

"""The writer of tallies: no count is added twice and none is lost when the store fails, or answers too late."""

import asyncio
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import pytest

from relay.app.observer import Observer
from relay.app.tallies import TallyWriter
from relay.events.event import Event, Kind
from relay.events.ports import StoreError
from relay.log import Log
from relay.reports.tallies import HOUR, BatchName, ReaderAction, ReadMessage, TallyKey, TallySum
from relay.storage.sqlite.store import SqliteStore
from relay.storage.tallies import TallyTable

NOW = 1_800_000_000.0


class FailingTallies(TallyTable):
    """The tallies of a store. The next calls fail: before they do anything, or when their answer is lost."""

    def __init__(self, table: TallyTable) -> None:
        super().__init__(table._database)
        self.fails: set[str] = set()
        self.added = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    async def add(self, counts: Mapping[TallyKey, int], batch: BatchName | None = None) -> None:
        self._fail_once("add")
        await super().add(counts, batch)
        self.added.set()
        await self.answers.wait()
        self._fail_once("answer")

    async def read_messages(self, actions: Sequence[ReaderAction]) -> Mapping[str, ReadMessage]:
        self._fail_once("read")
        return await super().read_messages(actions)

    async def fold(self, before: float) -> int:
        self._fail_once("fold")
        return await super().fold(before)

    def _fail_once(self, what: str) -> None:
        if what in self.fails:
            self.fails.remove(what)
            raise StoreError(f"{what}: the connection was lost")


class Written:
    """A writer on a store."""

    def __init__(self, store: SqliteStore) -> None:
        self.tallies = FailingTallies(store.tallies)
        self.observer = Observer(Log(StringIO(), "json"), lambda: NOW, lambda alert: None)
        self.writer = TallyWriter(self.observer.tallies, self.tallies, self.observer, lambda: NOW)

    def deliver(self) -> None:
        event = Event(Kind.DELIVERED, NOW, "A", 0, "u@x.test", {"domain": "acme.test"})
        self.observer.tallies.count_mail([event])

    async def sums(self) -> list[TallySum]:
        return list(await self.tallies.sums(0, NOW + HOUR, ["delivered"]))


@pytest.mark.parametrize("what", ["add", "answer", "fold"])
async def test_counts_are_added_once_after_a_failure(tmp_path: Path, what: str) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    written = Written(store)
    written.deliver()
    written.tallies.fails.add(what)
    await written.writer.write()
    assert not written.tallies.fails
    written.deliver()
    await written.writer.write()
    await written.writer.write()
    assert await written.sums() == [TallySum(int(NOW), "delivered", 2)]
    await store.close()


async def test_counts_are_added_once_after_a_cancellation(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    written = Written(store)
    written.deliver()
    written.tallies.answers.clear()
    writing = asyncio.create_task(written.writer.write())
    await written.tallies.added.wait()
    writing.cancel()
    await asyncio.wait([writing])
    assert writing.cancelled()
    written.tallies.answers.set()
    written.deliver()
    await written.writer.write()
    assert await written.sums() == [TallySum(int(NOW), "delivered", 2)]
    await store.close()


async def test_a_read_that_fails_keeps_the_counts(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    written = Written(store)
    written.deliver()
    written.observer.tallies.count_readers([Event(Kind.OPEN, NOW, "A", 0)])
    written.tallies.fails.add("read")
    await written.writer.write()
    await store.close()
    counts, actions = written.observer.tallies.take()
    assert [key.kind for key in counts] == ["delivered"]
    assert len(actions) == 1

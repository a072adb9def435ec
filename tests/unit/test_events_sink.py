"""The event sink: batches, limits of memory, events to keep, and its end."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from relay.events import sink
from relay.events.event import Event
from relay.events.shedding import Shedding
from relay.events.spool import Spool, SpoolError
from tests.servers.waiting import until
from tests.unit.sink_harness import EVENTS, Store, Watched, by_number, event, lines, running


def spooled(folder: Path) -> bytes:
    """Return what lies in the files of a spool; a file is renamed when it is closed, perhaps between list and read."""
    while True:
        with suppress(FileNotFoundError):
            return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_events_are_written_in_batches_and_published_after(tmp_path: Path) -> None:
    store = Store()
    async with running(tmp_path, store, batch=300) as watched:
        for one in EVENTS:
            watched.sink.put(one)
        assert watched.published == []
        await until(lambda: len(watched.published) == len(EVENTS))
    assert store.events == watched.published == EVENTS
    assert store.batches == 4
    assert watched.lines == []


async def test_it_is_behind_when_half_of_what_may_wait_does(tmp_path: Path) -> None:
    watched = Watched(tmp_path, Store(), limit=10)
    for number in range(6):
        assert not watched.sink.behind
        watched.sink.put(event(number))
    assert watched.sink.behind
    await watched.sink.start()
    await until(lambda: not watched.sink.behind)
    await watched.sink.close()


async def test_closing_writes_what_waits(tmp_path: Path) -> None:
    store = Store()
    async with running(tmp_path, store) as watched:
        for one in EVENTS:
            watched.sink.put(one)
    assert store.events == EVENTS
    assert watched.sink.waiting == 0


async def test_events_put_before_the_start_are_kept(tmp_path: Path) -> None:
    store = Store()
    watched = Watched(tmp_path, store)
    watched.sink.put(event(1))
    await watched.sink.start()
    await watched.sink.close()
    assert store.events == [event(1)]


async def test_above_the_limit_events_pass_a_slow_store_by_the_spool(tmp_path: Path) -> None:
    store = Store()
    store.open.clear()
    async with running(tmp_path, store, limit=200, batch=50) as watched:
        for one in EVENTS:
            watched.sink.put(one)
            assert watched.sink.waiting <= 250
            if one.number % 100 == 0:
                await until(lambda: watched.sink._spilling is None or watched.sink._spilling.done())
        store.open.set()
        await until(lambda: len(store.events) == len(EVENTS))
    assert by_number(store.events) == EVENTS
    assert watched.sink.lost == 0


async def test_when_neither_takes_them_memory_stays_bounded_and_the_loss_is_reported_once(tmp_path: Path) -> None:
    store = Store()
    store.down = True
    async with running(tmp_path, store, limit=200, batch=50, spool=Spool(tmp_path, total_bytes=0)) as watched:
        for one in EVENTS:
            watched.sink.put(one)
            await asyncio.sleep(0)
            assert watched.sink.waiting <= 450
        await until(lambda: watched.sink.lost > 0 and watched.sink.waiting <= 200)
        store.down = False
        await until(lambda: watched.sink.waiting == 0)
    assert len(store.events) + watched.sink.lost == len(EVENTS)
    assert store.events[-1] == EVENTS[-1]
    assert watched.line_names.count("events.lost") == 1
    assert watched.line_names.count("events.spool_failing") == 1


async def test_an_event_to_keep_is_on_disk_when_that_returns_though_the_store_hangs(tmp_path: Path) -> None:
    store = Store()
    store.open.clear()
    async with running(tmp_path, store) as watched:
        watched.sink.put(event(1))
        await until(lambda: watched.sink.waiting == 1)
        assert await watched.sink.keep(event(2))
        assert b'"recipient":2,' in spooled(tmp_path)
        store.open.set()
        await until(lambda: len(store.events) == 2)
    assert by_number(store.events) == [event(1), event(2)]


async def test_an_event_to_keep_waits_in_memory_when_the_spool_refuses_and_that_is_reported(tmp_path: Path) -> None:
    store = Store()
    async with running(tmp_path, store, spool=Spool(tmp_path, total_bytes=0)) as watched:
        assert not await watched.sink.keep(event(1))
        await until(lambda: store.events == [event(1)])


async def test_a_store_with_an_unforeseen_fault_is_left_alone_and_nothing_is_lost(tmp_path: Path) -> None:
    store = Store()
    store.faulty = True
    async with running(tmp_path, store, batch=100) as watched:
        for one in EVENTS:
            watched.sink.put(one)
        await until(lambda: watched.sink.waiting == 0)
        assert ("events.store_faulty", {"error": "RuntimeError('a fault nobody foresaw')"}) in watched.lines
    store.faulty = False
    async with running(tmp_path, store):
        await until(lambda: len(store.events) == len(EVENTS))
    assert by_number(store.events) == EVENTS


async def test_closing_does_not_wait_for_a_store_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.events.sink.CLOSING_TIME", 0.05)
    store = Store()
    store.open.clear()
    async with running(tmp_path, store, batch=100) as watched:
        for one in EVENTS:
            watched.sink.put(one)
        await until(lambda: watched.sink.waiting == len(EVENTS))
    spool = Spool(tmp_path)
    found = [one for path in tmp_path.glob("*.jsonl") for one in spool.read(path).events]
    assert found == EVENTS


async def test_a_spool_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    watched = Watched(tmp_path / "file" / "spool", Store())
    with pytest.raises(SpoolError, match="Not a directory"):
        await watched.sink.start()


class HangingDisk(Shedding):
    """Asks how much space is free, and gets no answer."""

    def __init__(self) -> None:
        """Needs nothing."""

    async def affordable(self, events: Sequence[Event]) -> Sequence[Event]:
        await asyncio.Event().wait()
        return events


async def test_events_whose_disk_space_is_looked_up_when_the_time_to_close_is_over_are_spooled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "CLOSING_TIME", 0.01)
    async with running(tmp_path, Store(), shedding=HangingDisk()) as watched:
        watched.sink.put(*EVENTS[:300])
        await until(lambda: len(watched.sink._waiting) == 0)
        assert watched.sink.waiting == 300
    assert spooled(tmp_path) == lines(*EVENTS[:300])
    assert watched.sink.lost == 0

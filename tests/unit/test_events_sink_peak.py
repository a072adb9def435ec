"""At a peak of events the spool takes them, and their rows are made when it is over."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from relay.events import sink
from relay.events.event import Event
from relay.events.spool import Spool
from tests.servers.waiting import until
from tests.unit.sink_harness import EVENTS, Store, by_number, event, lines, running


async def test_at_a_peak_events_are_on_disk_before_the_store_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "_AFTER_PEAK", 3600.0)
    store = Store()
    async with running(tmp_path, store, peak=100, retry=5.0) as watched:
        watched.sink.put(*EVENTS[:101])
        await until(lambda: not watched.sink.waiting)
        watched.sink.put(*EVENTS[101:110])
        await until(lambda: not watched.sink.waiting)
        assert (store.events, watched.published) == ([], []), "the peak was a moment ago"
        assert b"".join(path.read_bytes() for path in tmp_path.iterdir()) == lines(*EVENTS[:110])

        watched.sink._unspool_at = 0.0
        watched.sink.put(EVENTS[110])
        await until(lambda: len(store.events) == 111)
        await until(lambda: not list(tmp_path.iterdir()))
        assert by_number(store.events) == by_number(watched.published) == EVENTS[:111]
        assert watched.lines == []


async def test_a_peak_is_over_after_a_moment_without_further_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "_AFTER_PEAK", 0.01)
    store = Store()
    async with running(tmp_path, store, peak=100, retry=3600.0) as watched:
        watched.sink.put(*EVENTS[:200])
        await until(lambda: store.events == EVENTS[:200])


async def test_as_many_events_as_usual_go_to_the_store(tmp_path: Path) -> None:
    store = Store()
    async with running(tmp_path, store, peak=100) as watched:
        watched.sink.put(*EVENTS[:100])
        await until(lambda: len(store.events) == 100)
        assert list(tmp_path.iterdir()) == []


async def test_peaks_leave_the_larger_part_of_the_spool_to_failures_of_the_store(tmp_path: Path) -> None:
    store = Store()
    spool = Spool(tmp_path, total_bytes=4 * len(lines(*EVENTS[:200])))
    spool.append(lines(*EVENTS[:200]))
    store.open.clear()
    async with running(tmp_path, store, peak=100, spool=spool) as watched:
        watched.sink.put(*EVENTS[200:400])
        await until(lambda: watched.sink.waiting == 200)
        assert spool.filled == 0.25
        store.open.set()
        await until(lambda: len(store.events) == 400)
    assert by_number(store.events) == EVENTS[:400]


async def test_a_peak_that_the_spool_refuses_goes_to_the_store(tmp_path: Path) -> None:
    store = Store()
    async with running(tmp_path, store, peak=100, spool=Spool(tmp_path, total_bytes=1)) as watched:
        watched.sink.put(*EVENTS[:200])
        await until(lambda: len(store.events) == 200)
    assert watched.line_names == ["events.spool_failing"]
    assert watched.sink.lost == 0


async def test_what_a_peak_left_when_the_process_was_killed_is_taken_in_at_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path, Store(), peak=100, retry=5.0) as killed:
        killed.sink.put(*EVENTS[:200])
        await until(lambda: not killed.sink.waiting)
        left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    folder = tmp_path / "left"
    folder.mkdir()
    for name, content in left.items():
        (folder / name).write_bytes(content)
    store = Store()
    async with running(folder, store) as watched:
        await until(lambda: len(store.events) == 200)
        assert set(store.again) == {True}
    assert watched.published == EVENTS[:200]


async def test_only_events_that_the_store_was_asked_for_are_compared_with_its_rows(tmp_path: Path) -> None:
    """The comparison reads the events of each message. What a failing store was given may be in it."""
    store = Store()
    async with running(tmp_path, store, peak=100) as watched:
        watched.sink.put(*EVENTS[:200])
        await until(lambda: len(store.events) == 200)
        assert set(store.again) == {False}
        store.down = True
        watched.sink.put(*EVENTS[200:300])
        await until(lambda: not watched.sink.waiting and not watched.sink.store_answers)
        store.down = False
        await until(lambda: len(store.events) == 300)
        assert store.again[-1]


async def test_after_a_failure_in_the_middle_of_a_peak_its_rest_is_compared(tmp_path: Path) -> None:
    store = Store()
    record = store.record

    async def fail_once(events: Sequence[Event], *, again: bool = False) -> Sequence[Event]:
        store.down = store.batches == 1 and len(store.again) == 1
        return await record(events, again=again)

    store.record = fail_once  # type: ignore[method-assign]
    async with running(tmp_path, store, peak=100, batch=100) as watched:
        watched.sink.put(*EVENTS[:300])
        await until(lambda: len(store.events) == 300)
        assert store.again == [False, False, True, True]
        assert store.events == EVENTS[:300]
        await until(lambda: watched.line_names == ["events.spooled", "events.unspooled"])
        assert not list(tmp_path.iterdir())


async def test_an_outage_ends_when_the_spool_is_empty_though_a_peak_interrupts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "_AFTER_PEAK", 3600.0)
    store = Store()
    store.down = True
    async with running(tmp_path, store, peak=100, batch=25) as watched:
        watched.sink.put(*EVENTS[:50])
        await until(lambda: not watched.sink.waiting)
        record = store.record

        async def record_at_a_peak(events: Sequence[Event], *, again: bool = False) -> Sequence[Event]:
            if not store.events:
                watched.sink.put(*EVENTS[50:200])
            return await record(events, again=again)

        store.record = record_at_a_peak  # type: ignore[method-assign]
        store.down = False
        await until(lambda: len(store.events) == 25 and not watched.sink.waiting)
        assert watched.line_names == ["events.spooled"]
        watched.sink._unspool_at = 0.0
        watched.sink.put(EVENTS[200])
        await until(lambda: "events.unspooled" in watched.line_names)
    assert by_number(store.events) == EVENTS[:201]


async def test_an_unsubscribe_at_a_peak_is_on_disk_when_that_returns(tmp_path: Path) -> None:
    store = Store()
    async with running(tmp_path, store, peak=100, retry=5.0) as watched:
        watched.sink.put(*EVENTS[:200])
        await until(lambda: not watched.sink.waiting)
        assert await watched.sink.keep(event(999))
        assert b'"recipient":999,' in b"".join(path.read_bytes() for path in tmp_path.iterdir())
        await until(lambda: len(store.events) == 201)

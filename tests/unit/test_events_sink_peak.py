"""At a peak of events the spool takes them, and their rows are made when it is over."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from relay.events import peak
from relay.events.event import Event
from relay.events.spool import Spool
from tests.servers.waiting import until
from tests.unit.sink_harness import EVENTS, Store, by_number, event, lines, running


async def test_at_a_peak_events_are_on_disk_before_the_store_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peak, "AFTER", 3600.0)
    store = Store()
    async with running(tmp_path, store, peak=100, retry=5.0) as watched:
        watched.sink.put(*EVENTS[:101])
        await until(lambda: not watched.sink.waiting)
        watched.sink.put(*EVENTS[101:110])
        await until(lambda: not watched.sink.waiting)
        assert (store.events, watched.published) == ([], []), "the peak was a moment ago"
        assert b"".join(path.read_bytes() for path in tmp_path.iterdir()) == lines(*EVENTS[:110])

        watched.sink._peak.cancel()
        watched.sink.put(EVENTS[110])
        await until(lambda: len(store.events) == 111)
        await until(lambda: not list(tmp_path.iterdir()))
        assert by_number(store.events) == by_number(watched.published) == EVENTS[:111]
        assert watched.lines == []


async def test_a_peak_is_over_after_a_moment_without_further_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peak, "AFTER", 0.01)
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
    monkeypatch.setattr(peak, "AFTER", 3600.0)
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
        watched.sink._peak.cancel()
        watched.sink.put(EVENTS[200])
        await until(lambda: "events.unspooled" in watched.line_names)
    assert by_number(store.events) == EVENTS[:201]


async def test_an_unsubscribe_at_a_peak_is_on_disk_when_that_returns_and_soon_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peak, "AFTER", 3600.0)
    store = Store()
    async with running(tmp_path, store, peak=100, retry=5.0) as watched:
        watched.sink.put(*EVENTS[:200])
        await until(lambda: not watched.sink.waiting)
        assert await watched.sink.keep(event(999))
        assert b'"recipient":999,' in b"".join(path.read_bytes() for path in tmp_path.iterdir())
        await until(lambda: store.events == watched.published == [event(999)])

        watched.sink._peak.cancel()
        watched.sink.put(EVENTS[200])
        await until(lambda: len(store.events) == 202)
        assert by_number(watched.published) == [*EVENTS[:201], event(999)]


async def test_an_unsubscribe_waits_in_the_spool_for_a_store_that_fails(tmp_path: Path) -> None:
    store = Store()
    store.down = True
    async with running(tmp_path, store) as watched:
        assert await watched.sink.keep(event(1))
        await until(lambda: not watched.sink.store_answers)
        store.down = False
        await until(lambda: store.events == watched.published == [event(1)])


async def test_bursts_that_never_end_keep_no_event_from_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a peak at once, again and again, may be few events in all."""
    monkeypatch.setattr(peak, "AFTER", 0.1)
    monkeypatch.setattr(peak, "LONGEST", 0.3)
    store = Store()
    async with running(tmp_path, store, peak=10, retry=5.0) as watched:
        watched.sink.put(*EVENTS[:11])

        async def is_stored_though_bursts_go_on() -> bool:
            watched.sink.put(*EVENTS[100:111])
            return EVENTS[0] in store.events

        await until(is_stored_though_bursts_go_on)


async def test_a_peak_begins_with_more_events_than_its_size_and_ends_a_moment_after_the_last_time() -> None:
    one = peak.Peak(100)
    assert not one.includes(100, 1000.0)
    assert one.includes(101, 1000.0)
    assert one.includes(5, 1000.9), "the end of a peak"
    assert one.over_at == 1001.0
    assert not one.includes(5, 1001.0)


async def test_after_the_longest_peak_the_spool_has_to_be_emptied_first() -> None:
    one = peak.Peak(100)
    assert all(one.includes(101, 1000.0 + second) for second in range(30))
    assert not one.includes(101, 1030.0)
    assert not one.includes(101, 1500.0)
    one.settle()
    assert one.includes(101, 1501.0)
    one.cancel()
    assert not one.includes(5, 1501.1)

"""The spool of the event sink: events arrive once after an outage, and damage in it stops nothing."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from relay.events.event import Event
from relay.events.event_line import decode_event, encode_event
from relay.events.spool import Spool
from tests.servers.waiting import until
from tests.unit.sink_harness import EVENTS, Store, by_number, event, lines, running


async def test_while_the_store_is_down_events_wait_in_the_spool_and_arrive_once(tmp_path: Path) -> None:
    store = Store()
    store.down = True
    async with running(tmp_path, store, batch=100) as watched:
        for one in EVENTS:
            watched.sink.put(one)
        await until(lambda: watched.sink.waiting == 0 and not watched.sink.store_answers)
        assert store.events == watched.published == []
        assert list(tmp_path.iterdir())
        store.down = False
        await until(lambda: "events.unspooled" in watched.line_names)
        assert by_number(store.events) == by_number(watched.published) == EVENTS
        assert list(tmp_path.iterdir()) == []
        assert watched.sink.store_answers
    assert watched.lines == [
        ("events.spooled", {"error": "database is locked"}),
        ("events.unspooled", {"events": 1000}),
    ]


async def test_a_store_that_fails_in_the_middle_of_a_file_gets_only_the_rest(tmp_path: Path) -> None:
    store = Store()
    spool = Spool(tmp_path)
    spool.append(lines(*EVENTS))
    record = store.record

    async def three_batches_then_down(events: Sequence[Event], *, again: bool = False) -> Sequence[Event]:
        store.down = store.batches == 3
        return await record(events, again=again)

    store.record = three_batches_then_down  # type: ignore[method-assign]
    async with running(tmp_path, store, batch=100, spool=spool) as watched:
        await until(lambda: not watched.sink.store_answers)
        store.record = record  # type: ignore[method-assign]
        store.down = False
        await until(lambda: len(store.events) >= len(EVENTS))
        await until(lambda: not list(tmp_path.iterdir()))
    assert store.events == EVENTS


async def test_what_an_earlier_process_spooled_is_taken_in_at_the_start(tmp_path: Path) -> None:
    down = Store()
    down.down = True
    async with running(tmp_path, down) as earlier:
        earlier.sink.put(event(1))
    assert earlier.published == []
    store = Store()
    async with running(tmp_path, store) as watched:
        await until(lambda: watched.published == [event(1)])
    assert store.events == [event(1)]


async def test_without_a_store_events_lie_in_closed_files_to_be_carried_away(tmp_path: Path) -> None:
    async with running(tmp_path, None) as watched:
        for one in EVENTS:
            watched.sink.put(one)
        await until(lambda: bool(list(tmp_path.glob("*.jsonl"))) and watched.sink.waiting == 0)
        assert watched.published == EVENTS
        assert not watched.sink.store_answers
    home = Spool(tmp_path)
    found = [one for path in sorted(tmp_path.glob("*.jsonl")) for one in home.read(path).events]
    assert found == EVENTS
    assert watched.lines == []


async def test_damage_in_the_spool_is_reported_and_the_rest_arrives(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(lines(event(1)))
    path = spool.oldest()
    assert path is not None
    with path.open("ab") as file:
        file.write(b"torn")
    store = Store()
    async with running(tmp_path, store, spool=spool) as watched:
        await until(lambda: store.events == [event(1)])
    assert watched.lines == [("events.spool_damaged", {"file": path.name, "torn": True, "damaged": 0, "error": ""})]


async def test_a_damaged_file_is_kept_and_the_files_behind_it_are_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with (tmp_path / "0000000000001-huge.jsonl").open("wb") as huge:
        huge.truncate(2**40)
    (tmp_path / "0000000000002-damaged.jsonl").write_bytes(encode_event(event(1)) + b"no event\n")
    (tmp_path / "0000000000003-whole.jsonl").write_bytes(encode_event(event(2)))
    (tmp_path / "0000000000002-damaged.jsonl.damaged").write_bytes(b"of an earlier day")
    store = Store()
    async with running(tmp_path, store, spool=spool) as watched:
        await until(lambda: store.events == [event(1), event(2)])
    assert [(line, fields["file"]) for line, fields in watched.lines] == [
        ("events.spool_unreadable", "0000000000001-huge.jsonl"),
        ("events.spool_damaged", "0000000000002-damaged.jsonl"),
    ]
    assert str(watched.lines[1][1]["error"]).startswith("line 2: ")
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept[0] == "0000000000001-huge.jsonl.damaged"
    assert len(kept) == 3
    assert (tmp_path / "0000000000002-damaged.jsonl.damaged").read_bytes() == b"of an earlier day"


async def test_names_that_are_no_files_are_left_alone_and_reported_once(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").mkdir()
    (tmp_path / "2.jsonl").symlink_to("/nonexistent")
    (tmp_path / "3.jsonl.open").symlink_to("/nonexistent")
    os.mkfifo(tmp_path / "4.jsonl")
    os.mkfifo(tmp_path / "5.jsonl.open")
    (tmp_path / "6.jsonl").write_bytes(encode_event(event(2)))
    store = Store()
    async with running(tmp_path, store) as watched:
        await until(lambda: store.events == [event(2)] and len(watched.lines) >= 3)
        await until(lambda: not (tmp_path / "6.jsonl").exists())
    assert sorted(watched.lines, key=str) == [
        ("events.spool_irregular", {"file": name}) for name in ("1.jsonl", "2.jsonl", "4.jsonl")
    ]
    assert len(list(tmp_path.iterdir())) == 5


async def test_an_event_the_store_cannot_hold_is_set_aside_and_all_others_arrive(tmp_path: Path) -> None:
    store = Store()
    store.poison = {7, 501}
    spool = Spool(tmp_path)
    spool.append(lines(*EVENTS[500:]))
    async with running(tmp_path, store, spool=spool) as watched:
        for one in EVENTS[:500]:
            watched.sink.put(one)
        await until(lambda: len(store.events) == len(EVENTS) - 2)
        await until(lambda: len(watched.lines) == 2)
        assert watched.sink.store_answers
    assert by_number(store.events) == [one for one in EVENTS if one.number not in store.poison]
    assert by_number(watched.published) == by_number(store.events)
    fields = {"queue_id": "0ABCDFGHJKLMNP", "kind": "open", "file": "rejected.jsonl.damaged", "error": "out of range"}
    assert watched.lines == [("events.rejected", fields)] * 2
    kept = (tmp_path / "rejected.jsonl.damaged").read_bytes().splitlines()
    assert {decode_event(line).number for line in kept} == store.poison


async def test_only_events_of_the_spool_may_be_known_to_the_store(tmp_path: Path) -> None:
    store = Store()
    spool = Spool(tmp_path)
    spool.append(lines(event(1)))
    async with running(tmp_path, store, spool=spool) as watched:
        await until(lambda: store.events == [event(1)])
        watched.sink.put(event(2))
        await until(lambda: store.events == [event(1), event(2)])
    assert store.again == [True, False]


async def test_a_file_that_can_be_neither_read_nor_renamed_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    stuck = tmp_path / "0000000000001-stuck.jsonl"
    with stuck.open("wb") as huge:
        huge.truncate(2**40)
    (tmp_path / "0000000000002-whole.jsonl").write_bytes(encode_event(event(2)))
    monkeypatch.setattr(Path, "rename", refused)
    store = Store()
    async with running(tmp_path, store) as watched:
        await until(lambda: store.events == [event(2)])
    assert watched.line_names == ["events.spool_unreadable"]
    assert stuck.exists()

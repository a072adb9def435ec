"""The spool keeps what it acknowledged, whatever happens between two calls."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.events.event import Event, Kind
from relay.events.event_line import encode_event
from relay.events.spool import Spool, SpoolError


def event(number: int) -> Event:
    return Event(Kind.CLICK, 1000.0 + number, "0ABCDFGHJKLMNP", number, data={"id": f"{number:016x}"})


def encoded(*events: Event) -> bytes:
    return b"".join(map(encode_event, events))


def drained(spool: Spool) -> list[Event]:
    """Read and remove everything, as the sink does."""
    found: list[Event] = []
    while (path := spool.oldest()) is not None:
        found.extend(spool.read(path).events)
        spool.remove(path)
    return found


def test_what_was_appended_comes_back_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(encoded(event(1), event(2)))
    spool.append(encoded(event(3)))
    assert drained(spool) == [event(1), event(2), event(3)]
    assert spool.oldest() is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_whose_closing_failed_is_not_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller keeps its events, and may record them before the file is read."""
    spool = Spool(tmp_path, segment_bytes=1)
    sync = Spool._names_changed

    def fail_after_the_rename(self: Spool) -> None:
        if list(tmp_path.glob("*.jsonl")):
            raise OSError("no descriptors")
        sync(self)

    monkeypatch.setattr(Spool, "_names_changed", fail_after_the_rename)
    with pytest.raises(SpoolError):
        spool.append(encoded(event(1)), is_new=True)
    monkeypatch.setattr(Spool, "_names_changed", sync)
    path = spool.oldest()
    assert path is not None
    assert spool.read(path).events == (event(1),)
    assert not spool.is_new(path)
    spool.remove(path)
    spool.append(encoded(event(2)), is_new=True)
    path = spool.oldest()
    assert path is not None
    assert spool.is_new(path)


def test_a_large_file_is_closed_and_the_next_begun(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=300)
    for number in range(12):
        spool.append(encoded(event(number)))
    assert len(list(tmp_path.glob("*.jsonl"))) == 4
    assert drained(spool) == [event(number) for number in range(12)]


def test_files_begun_in_one_moment_or_after_the_clock_was_set_back_are_read_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([1000.0] * 20 + [900.0] * 20)
    monkeypatch.setattr("relay.events.spool.time.time", lambda: next(moments))
    spool = Spool(tmp_path, segment_bytes=1)
    for number in range(40):
        spool.append(encoded(event(number)))
    assert drained(spool) == [event(number) for number in range(40)]


def test_events_appended_while_a_file_is_read_are_not_lost(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(encoded(event(1)))
    path = spool.oldest()
    assert path is not None
    spool.append(encoded(event(2)))
    assert spool.read(path).events == (event(1),)
    spool.remove(path)
    assert drained(spool) == [event(2)]


def test_a_crash_leaves_an_open_file_and_a_torn_line_that_is_reported(tmp_path: Path) -> None:
    crashed = Spool(tmp_path)
    crashed.append(encoded(event(1), event(2)))
    (left,) = tmp_path.glob("*.open")
    assert crashed._file is not None
    os.close(crashed._file)
    with left.open("ab") as file:
        file.write(b'{"kind":"click","at":10')
    spool = Spool(tmp_path)
    assert spool.recover() == 1
    path = spool.oldest()
    assert path is not None
    segment = spool.read(path)
    assert (segment.events, segment.torn, segment.damaged) == ((event(1), event(2)), True, 0)


def test_a_damaged_line_is_counted_and_the_others_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(encoded(event(1), event(2), event(3)))
    path = spool.oldest()
    assert path is not None
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b"\0" * 40, lines[2], b""]))
    segment = spool.read(path)
    assert (segment.events, segment.torn, segment.damaged) == ((event(1), event(3)), False, 1)


def test_the_file_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    living = Spool(tmp_path)
    living.append(encoded(event(1)))
    other = Spool(tmp_path)
    assert other.recover() == 0
    assert other.oldest() is None
    assert drained(living) == [event(1)]


def test_files_carried_from_another_machine_are_taken_in(tmp_path: Path) -> None:
    away = Spool(tmp_path / "away")
    away.append(encoded(event(1)))
    away.rotate()
    home = Spool(tmp_path / "home")
    home.recover()
    for path in (tmp_path / "away").glob("*.jsonl"):
        path.rename(tmp_path / "home" / path.name)
    assert drained(home) == [event(1)]


def test_a_full_spool_refuses_all_of_a_batch_and_takes_again_after_room_was_made(tmp_path: Path) -> None:
    spool = Spool(tmp_path, total_bytes=500)
    spool.append(encoded(event(1), event(2)))
    with pytest.raises(SpoolError, match=r"full, \d+ of 500 bytes are taken"):
        spool.append(encoded(event(3), event(4), event(5)))
    assert drained(spool) == [event(1), event(2)]
    spool.append(encoded(event(3)))
    assert drained(spool) == [event(3)]


def test_what_waits_from_earlier_counts_against_the_room(tmp_path: Path) -> None:
    earlier = Spool(tmp_path)
    earlier.append(encoded(event(1), event(2), event(3)))
    earlier.rotate()
    spool = Spool(tmp_path, total_bytes=400)
    spool.recover()
    with pytest.raises(SpoolError, match="full"):
        spool.append(encoded(event(4)))


def test_a_disk_that_takes_half_a_batch_leaves_none_of_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(encoded(event(1)))
    with files_limited_to(300), pytest.raises(SpoolError, match=r"disk is full|too large"):
        spool.append(encoded(event(2), event(3), event(4)))
    spool.append(encoded(event(5)))
    assert drained(spool) == [event(1), event(5)]


def test_an_unusable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match=r"file/spool: Not a directory"):
        Spool(tmp_path / "file" / "spool").recover()


def test_a_last_line_without_its_newline_counts_if_it_is_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    path = tmp_path / "carried.jsonl"
    path.write_bytes(encode_event(event(1)).rstrip() + b"\r\n\n" + encode_event(event(2)).rstrip())
    segment = spool.read(path)
    assert (segment.events, segment.torn, segment.damaged) == ((event(1), event(2)), False, 0)


def test_no_rename_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_bytes(encode_event(event(1)))
    (tmp_path / "1.jsonl.open").write_bytes(encode_event(event(2)))
    spool = Spool(tmp_path)
    assert spool.recover() == 1
    assert sorted(drained(spool), key=lambda one: one.number) == [event(1), event(2)]


def test_what_waits_is_counted_with_its_age(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.backlog.shown(1000.0) == {"files": 0, "octets": 0, "age": 0.0}
    line = encode_event(event(1))
    (tmp_path / "0000001000000-0.jsonl").write_bytes(line)
    carried = tmp_path / "carried.jsonl"
    carried.write_bytes(line)
    os.utime(carried, (900, 900))
    spool.append(encoded(event(2)))
    assert spool.backlog.shown(1060.0) == {"files": 3, "octets": 3 * len(line), "age": 160.0}
    carried.unlink()
    spool.rotate()
    assert spool.backlog.shown(1060.0) == {"files": 2, "octets": 2 * len(line), "age": 60.0}
    drained(spool)
    assert spool.backlog.since is None


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let no file grow beyond that many octets: a write over it is cut short, as on a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)

"""The delivery journal over real files: what is noted is there for the next process, and nothing untrue ever is."""

import os
import struct
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.delivery_journal import SLOT, SLOTS, DeliveryJournalFile, encode_record, read_records
from relay.mail.reply import Reply
from relay.queue.outcome import Delivered
from relay.queue.ports import JournalRecord

AT = 1_800_000_000.5


def taken(queue_id: str = "A", *numbers: int, text: str = "ok") -> JournalRecord:
    return JournalRecord(
        queue_id, numbers or (0,), Delivered(Reply(250, "2.0.0", text), "mx.x.test[192.0.2.1]:25", True), AT
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deliveries.journal"


def unexpected(error: OSError) -> None:
    raise error


def reopened(path: Path) -> list[JournalRecord]:
    journal, noted = DeliveryJournalFile.open(path, unexpected)
    journal.close()
    return list(noted)


def test_what_is_noted_is_there_for_the_next_process(path: Path) -> None:
    journal, noted = DeliveryJournalFile.open(path, unexpected)
    assert list(noted) == []
    journal.record(taken("A", 0, 2))
    journal.record(taken("B"))
    # Without closing: a process that was killed did not either.
    assert reopened(path) == [taken("A", 0, 2), taken("B")]
    assert path.stat().st_mode & 0o777 == 0o600
    journal.close()


def test_notes_stay_until_they_are_cleared(path: Path) -> None:
    journal, _ = DeliveryJournalFile.open(path, unexpected)
    journal.record(taken())
    journal.close()
    assert reopened(path) == reopened(path) == [taken()]
    journal, noted = DeliveryJournalFile.open(path, unexpected)
    journal.clear()
    assert list(noted) == [taken()]
    assert reopened(path) == []
    journal.close()


def test_a_slot_is_taken_again_when_all_its_entries_are_settled(path: Path) -> None:
    journal, _ = DeliveryJournalFile.open(path, unexpected)
    journal.record(taken("A", 0, 1))
    journal.forget("A", (0,))
    journal.record(taken("B"))
    assert reopened(path) == [taken("A", 0, 1), taken("B")]
    journal.forget("A", (1, 7))
    journal.forget("UNKNOWN", (0,))
    journal.record(taken("C"))
    assert reopened(path) == [taken("C"), taken("B")]
    journal.close()


def test_beyond_its_slots_deliveries_go_without_a_note(path: Path) -> None:
    journal, _ = DeliveryJournalFile.open(path, unexpected)
    for number in range(SLOTS + 1):
        journal.record(taken("A", number))
    assert len(reopened(path)) == SLOTS
    journal.forget("A", (SLOTS,))
    journal.forget("A", (0,))
    journal.record(taken("B"))
    assert reopened(path)[0] == taken("B")
    assert path.stat().st_size <= SLOT * SLOTS
    journal.close()


@given(st.integers(0, SLOT), st.binary(max_size=SLOT))
def test_a_note_written_in_part_is_none(written: int, before: bytes) -> None:
    record = encode_record(taken("NEW", *range(100)))
    old = encode_record(taken("OLD")).ljust(SLOT, before[:1] or b"\0")
    torn = record[:written] + old[written:]
    assert list(read_records(torn)) in ([], [taken("OLD")], [taken("NEW", *range(100))])
    assert list(read_records(before)) == []


@given(st.text(max_size=2000), st.lists(st.integers(0, 99_999), min_size=1, max_size=100))
def test_whatever_the_other_side_says_fits(text: str, numbers: list[int]) -> None:
    record = encode_record(taken("0123456789ABCD", *numbers, text=text))
    assert len(record) <= SLOT
    (note,) = read_records(record)
    assert note.numbers == tuple(numbers)
    assert note.outcome.reply.text == text[:300]


@pytest.mark.parametrize("record", [b"{}", b"[]", b'["A", 0, 1.5]', b'["A", 0, 1, [250, "", ""], "mx", true]', b"\xff"])
def test_a_note_in_another_form_is_none(record: bytes) -> None:
    slot = struct.pack("<II", crc32(record), len(record)) + record
    assert list(read_records(slot.ljust(SLOT, b"\0") + encode_record(taken()))) == [taken()]


def test_a_file_that_cannot_be_made_is_reported_and_mail_goes_on(tmp_path: Path) -> None:
    told: list[OSError] = []
    journal, noted = DeliveryJournalFile.open(tmp_path / "nowhere" / "journal", told.append)
    journal.record(taken())
    journal.forget("A", (0,))
    journal.clear()
    journal.close()
    assert list(noted) == []
    assert [type(error) for error in told] == [FileNotFoundError]


def test_a_write_that_fails_is_reported_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[OSError] = []
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    monkeypatch.setattr(os, "open", lambda *_: descriptor)  # Opened for reading only, it fails as a broken disk does.
    journal, _ = DeliveryJournalFile.open(path, told.append)
    for queue_id in "AB":
        journal.record(taken(queue_id))
    assert len(told) == 1

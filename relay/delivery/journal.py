"""The delivery journal: deliveries that were accepted but are not committed yet.

The commit follows milliseconds after the 250, and a process killed in between would deliver again. A record is one
write to a file, without a flush: its bytes belong to the kernel from then on, and outlive the process. A power failure
may lose them, and then the message is delivered twice, as without a journal. A record is never untrue: see
`docs/durability.md`.

The file has one slot of `SLOT` octets for each record: CRC-32 and length, then the record in JSON. A slot is free again
once the settlement is durable. A record that was written in part fails its checksum and is ignored.
"""

import json
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self
from zlib import crc32

from relay.mail.reply import Reply
from relay.queue.outcome import Delivered
from relay.queue.ports import JournalRecord

JOURNAL_FILE = "deliveries.journal"


SLOT = 4096
"""Octets: one page, so that no record crosses a page boundary."""


SLOTS = 4096
"""More than the runner has in flight. A delivery that finds no free slot has no record."""


_HEAD = struct.Struct("<II")


_LONGEST_TEXT = 300


_LONGEST_REMOTE = 200
"""Characters kept of the reply text, and of the server's name."""


class DeliveryJournalFile:
    """Implements `relay.queue.ports.DeliveryJournal` on one file.

    `failing` is called once when the file cannot be written. Mail is delivered all the same.
    """

    def __init__(self, path: Path, failing: Callable[[OSError], None]) -> None:
        """Use `open`."""
        self._path = path
        self._failing = failing
        self._descriptor: int | None = None
        self._free = list(range(SLOTS - 1, -1, -1))
        self._slots: dict[tuple[str, int], int] = {}
        self._open_numbers: dict[int, int] = {}

    @classmethod
    def open(cls, path: Path, failing: Callable[[OSError], None]) -> tuple[Self, Sequence[JournalRecord]]:
        """Open or create the journal. Return it with the records of an earlier process.

        Those records stay in the file until `clear`.
        """
        journal = cls(path, failing)
        try:
            journal._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            return journal, list(notes_of(path.read_bytes()))
        except OSError as error:
            journal._give_up(error)
            return journal, ()

    def clear(self) -> None:
        """Drop the records of an earlier process, once they are settled."""
        if self._descriptor is not None:
            try:
                os.ftruncate(self._descriptor, 0)
            except OSError as error:
                self._give_up(error)

    def record(self, taken: JournalRecord) -> None:
        """See `DeliveryJournal`."""
        record = record_of(taken)
        if self._descriptor is None or not self._free or len(record) > SLOT:
            return
        slot = self._free.pop()
        self._open_numbers[slot] = len(taken.numbers)
        self._slots.update(((taken.queue_id, number), slot) for number in taken.numbers)
        try:
            os.pwrite(self._descriptor, record, slot * SLOT)
        except OSError as error:
            self._give_up(error)

    def forget(self, queue_id: str, numbers: Sequence[int]) -> None:
        """See `DeliveryJournal`."""
        for number in numbers:
            slot = self._slots.pop((queue_id, number), None)
            if slot is None:
                continue
            self._open_numbers[slot] -= 1
            if not self._open_numbers[slot]:
                del self._open_numbers[slot]
                self._free.append(slot)

    def close(self) -> None:
        """Close the file. Records that are not settled stay for the next start."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _give_up(self, error: OSError) -> None:
        """Write no records until the next start: a file that failed once is not reliable."""
        self.close()
        self._failing(error)


def record_of(taken: JournalRecord) -> bytes:
    """Return a record in the form of its slot."""
    reply = taken.outcome.reply
    record = json.dumps(
        [
            taken.queue_id,
            taken.numbers,
            taken.at,
            [reply.code, reply.status, reply.text[:_LONGEST_TEXT]],
            taken.outcome.remote[:_LONGEST_REMOTE],
            taken.outcome.dsn_passed_on,
        ],
        separators=(",", ":"),
    ).encode("ascii")
    return _HEAD.pack(crc32(record), len(record)) + record


def notes_of(octets: bytes) -> Iterator[JournalRecord]:
    """Return the records of a journal. Slots that are empty or malformed are skipped."""
    for start in range(0, len(octets), SLOT):
        slot = octets[start : start + SLOT]
        if len(slot) < _HEAD.size:
            return
        checksum, length = _HEAD.unpack_from(slot)
        record = slot[_HEAD.size : _HEAD.size + length]
        if not length or len(record) != length or crc32(record) != checksum:
            continue
        note = _taken(record)
        if note is not None:
            yield note


def _taken(record: bytes) -> JournalRecord | None:
    """Return a parsed record, None when another version of this program wrote it in another form."""
    try:
        queue_id, numbers, at, (code, status, text), remote, dsn_passed_on = json.loads(record)
        return JournalRecord(queue_id, tuple(numbers), Delivered(Reply(code, status, text), remote, dsn_passed_on), at)
    except (ValueError, TypeError):
        return None

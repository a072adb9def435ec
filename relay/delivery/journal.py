"""The delivery journal: what the other side took, noted the moment its 250 is read, until our commit knows it too.

A commit is milliseconds away from the 250 it records, and a process that is killed in between would deliver again.
A note is one write to a file, without a flush: its bytes are the kernel's from then on, and outlive the process.
A power cut may take them, and then the message is delivered twice, as without a journal. Notes never say what is not
true: `docs/durability.md` has the reasons.

The file has one slot of `SLOT` octets for each note: CRC-32 and length of the record, then the record in JSON. A slot
is taken again once its settlement is durable. A note that was written in part has another checksum and is none.
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
"""Octets: one page, so that no note lies across two."""


SLOTS = 4096
"""More than the runner has under way; a delivery that finds none free goes without its note."""


_HEAD = struct.Struct("<II")


_LONGEST_TEXT = 300


_LONGEST_REMOTE = 200
"""Characters kept of what the other side said, and of its name."""


class DeliveryJournalFile:
    """Implements `relay.queue.ports.DeliveryJournal` on one file.

    `failing` is told once when notes cannot be written: mail is delivered all the same.
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
        """Open the journal, creating it when needed; return it with what an earlier process had noted.

        The notes stay in the file until `clear`.
        """
        journal = cls(path, failing)
        try:
            journal._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            return journal, list(notes_of(path.read_bytes()))
        except OSError as error:
            journal._give_up(error)
            return journal, ()

    def clear(self) -> None:
        """Forget what an earlier process noted, once it is settled."""
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
        """Close the file; what is noted and not settled stays for the next start."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _give_up(self, error: OSError) -> None:
        """Go on without notes until the next start: a file that failed once is no place to rely on."""
        self.close()
        self._failing(error)


def record_of(taken: JournalRecord) -> bytes:
    """Return a note as it stands in its slot."""
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
    """Return the notes of a journal; slots that are empty or hold anything else are passed over."""
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
    """Return what a record says, None when another version of this program wrote it in another form."""
    try:
        queue_id, numbers, at, (code, status, text), remote, dsn_passed_on = json.loads(record)
        return JournalRecord(queue_id, tuple(numbers), Delivered(Reply(code, status, text), remote, dsn_passed_on), at)
    except (ValueError, TypeError):
        return None

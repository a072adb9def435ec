"""The delivery journal: deliveries that were accepted but are not committed yet.

The commit follows milliseconds after the 250, and a process killed in between would deliver again. A record is one
write to a file, without a flush: the kernel keeps its bytes when the process ends. A power failure may lose them; the
message is then delivered twice, as without a journal. A record is never wrong: see `docs/durability.md`.

The file has one slot of `SLOT` octets for each record: CRC-32 and length, then the record in JSON. A slot is free again
once the settlement is durable. A record that was written in part fails its checksum and is ignored.
"""

import errno
import json
import os
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self
from zlib import crc32

from relay.compact_json import json_encoder
from relay.mail.reply import Reply
from relay.queue.outcome import Delivered
from relay.queue.ports import JournalRecord

JOURNAL_FILE = "deliveries.journal"

SLOT = 4096
"""Octets of a slot: one page, so that no record crosses a page boundary."""

SLOTS = 4096
"""Slots of the file: more than the runner has entries in flight. Without a free slot, a delivery has no record."""

_encode = json_encoder()

_HEAD = struct.Struct("<II")
"""Checksum and length of a record."""

_MAX_TEXT = 300
"""Characters kept of a reply text."""

_MAX_REMOTE = 200
"""Characters kept of the name of a server."""


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
        self._unsettled: dict[int, int] = {}

    @classmethod
    def open(cls, path: Path, failing: Callable[[OSError], None]) -> tuple[Self, Sequence[JournalRecord]]:
        """Open or create the journal. Return it with the records of an earlier process.

        Those records stay in the file until `clear`.
        """
        journal = cls(path, failing)
        try:
            journal._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not stat.S_ISREG(os.fstat(journal._descriptor).st_mode):
                # Reading a pipe would wait for ever.
                journal._disable(OSError(errno.EINVAL, "not a regular file", str(path)))
                return journal, ()
            return journal, list(read_records(path.read_bytes()))
        except OSError as error:
            journal._disable(error)
            return journal, ()

    def clear(self) -> None:
        """Drop the records of an earlier process, once they are settled."""
        if self._descriptor is not None:
            try:
                os.ftruncate(self._descriptor, 0)
            except OSError as error:
                self._disable(error)

    def record(self, record: JournalRecord) -> None:
        """See `DeliveryJournal`."""
        octets = encode_record(record)
        if self._descriptor is None or not self._free or len(octets) > SLOT:
            return
        slot = self._free.pop()
        self._unsettled[slot] = len(record.numbers)
        self._slots.update(((record.queue_id, number), slot) for number in record.numbers)
        try:
            os.pwrite(self._descriptor, octets, slot * SLOT)
        except OSError as error:
            self._disable(error)

    def forget(self, queue_id: str, numbers: Sequence[int]) -> None:
        """See `DeliveryJournal`."""
        for number in numbers:
            slot = self._slots.pop((queue_id, number), None)
            if slot is None:
                continue
            self._unsettled[slot] -= 1
            if not self._unsettled[slot]:
                del self._unsettled[slot]
                self._free.append(slot)

    def close(self) -> None:
        """Close the file. Records that are not settled stay for the next start."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _disable(self, error: OSError) -> None:
        """Write no records until the next start: a file that failed once is not reliable."""
        self.close()
        self._failing(error)


def encode_record(record: JournalRecord) -> bytes:
    """Return the octets of a record in its slot."""
    reply = record.outcome.reply
    octets = _encode(
        [
            record.queue_id,
            record.numbers,
            record.at,
            [reply.code, reply.status, reply.text[:_MAX_TEXT]],
            record.outcome.remote[:_MAX_REMOTE],
            record.outcome.dsn_passed_on,
        ]
    ).encode("ascii")
    return _HEAD.pack(crc32(octets), len(octets)) + octets


def read_records(octets: bytes) -> Iterator[JournalRecord]:
    """Return the records of a journal. Slots that are empty or malformed are skipped."""
    for start in range(0, len(octets), SLOT):
        slot = octets[start : start + SLOT]
        if len(slot) < _HEAD.size:
            return
        checksum, length = _HEAD.unpack_from(slot)
        octets_of_record = slot[_HEAD.size : _HEAD.size + length]
        if not length or len(octets_of_record) != length or crc32(octets_of_record) != checksum:
            continue

        record = _decode(octets_of_record)
        if record is not None:
            yield record


def _decode(octets: bytes) -> JournalRecord | None:
    """Return a parsed record, None for the form of another version."""
    try:
        queue_id, numbers, at, (code, status, text), remote, dsn_passed_on = json.loads(octets)
        return JournalRecord(queue_id, tuple(numbers), Delivered(Reply(code, status, text), remote, dsn_passed_on), at)
    except (ValueError, TypeError):
        return None

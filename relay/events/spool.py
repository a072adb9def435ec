"""Event spool and its line format."""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from relay.events.event import Event, Kind


def encode_event(event: Event) -> bytes:
    """Encode as one line of ASCII JSON, newline included."""
    fields: dict[str, object] = {
        "kind": event.kind,
        "at": event.at,
        "queue_id": event.queue_id,
        "recipient": event.number,
        "address": event.address,
        "data": dict(event.data),
    }
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def decode_event(line: bytes) -> Event:
    """Decode a line. Raises ValueError when it is incomplete or damaged."""
    try:
        fields = json.loads(line)
    except RecursionError:
        raise ValueError("the line is nested too deeply for an event") from None
    match fields:
        case {
            "kind": str(kind),
            "at": int() | float() as at,
            "queue_id": str(queue_id),
            "recipient": int(recipient),
            "address": str(address),
            "data": Mapping() as data,
        }:
            return Event(Kind(kind), float(at), queue_id, recipient, address, data)
    raise ValueError("the line lacks a field of an event: kind, at, queue_id, recipient, address, data")


_CLOSED, _OPEN, _DAMAGED = ".jsonl", ".jsonl.open", ".jsonl.damaged"


class SpoolError(Exception):
    """The folder cannot be read or written now; the message names it and the cause."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Content of one closed file: its events, whether its last line is torn, and the number of other damaged lines."""

    path: Path
    events: tuple[Event, ...]
    torn: bool = False
    damaged: int = 0


class Spool:
    """Events on disk, first in, first out. Does blocking file I/O, from any thread. Raises SpoolError.

    `segment_bytes` is the size at which a file is closed, `total_bytes` the limit of the folder.
    """

    def __init__(
        self, folder: Path, *, segment_bytes: int = 4 * 1024 * 1024, total_bytes: int = 256 * 1024 * 1024
    ) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._total_bytes = total_bytes
        self._lock = Lock()
        self._file: int | None = None
        self._begun = 0
        self._path = folder
        self._size = 0
        self._closed_bytes = 0
        self._skipped: set[Path] = set()
        """Files that could be neither read nor renamed."""

    def recover(self) -> int:
        """Make the folder, close the files that an earlier process left open, and return their number.

        A file that a running process writes is locked and skipped.
        """
        with self._working():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            left = [path for path in self._folder.glob(f"*{_OPEN}") if not _is_locked(path)]
            for path in left:
                path.rename(_closed_name(path))
            self._names_changed()
            return len(left)

    def append(self, events: Sequence[Event]) -> None:
        """Write the events, all or none, with one fsync. Raises SpoolError also when the folder is full."""
        lines = b"".join(map(encode_event, events))
        with self._working():
            held = self._closed_bytes + self._size
            if held + len(lines) > self._total_bytes:
                raise SpoolError(f"{self._folder}: full, {held} of {self._total_bytes} bytes are taken")
            self._write(lines)
            if self._size >= self._segment_bytes:
                self._close_segment()

    def oldest(self) -> Path | None:
        """Return the oldest closed file, else close and return the open one; None when the spool is empty."""
        with self._working():
            if not self._closed():
                self._close_segment()
            return next(iter(self._closed()), None)

    def rotate(self) -> None:
        """Close the open file, so that it can be moved."""
        with self._working():
            self._close_segment()

    def read(self, path: Path) -> Segment:
        """Read a closed file. A line without a valid event is skipped and counted."""
        with self._working():
            *lines, rest = path.read_bytes().split(b"\n")
        events: list[Event] = []
        damaged = 0
        for line in lines:
            try:
                events.append(decode_event(line))
            except ValueError:
                damaged += 1
        return Segment(path, tuple(events), torn=bool(rest), damaged=damaged)

    def remove(self, path: Path) -> None:
        """Delete a file whose events are in the store."""
        with self._working():
            path.unlink(missing_ok=True)
            self._names_changed()

    def set_aside(self, path: Path) -> None:
        """Rename a damaged file, which is kept for the operator and read no more."""
        with self._working():
            try:
                path.rename(path.with_name(path.name.removesuffix(_CLOSED) + _DAMAGED))
            except OSError:
                self._skipped.add(path)
            self._names_changed()

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except OSError as error:
                raise SpoolError(f"{self._folder}: {error.strerror or error}") from error

    def _write(self, lines: bytes) -> None:
        file = self._file if self._file is not None else self._open_segment()
        try:
            whole = os.write(file, lines) == len(lines)
            os.fsync(file)
        except OSError:
            os.ftruncate(file, self._size)
            raise
        if not whole:
            os.ftruncate(file, self._size)
            raise SpoolError(f"{self._folder}: the disk is full")
        self._size += len(lines)

    def _open_segment(self) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Names order the files. Files of one millisecond, or of before and after a clock step, need different names.
        self._begun = max(int(time.time() * 1000), self._begun + 1)
        self._path = self._folder / f"{self._begun:013d}-{secrets.token_hex(4)}{_OPEN}"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._names_changed()
        return self._file

    def _close_segment(self) -> None:
        if self._file is None:
            return
        if self._size:
            self._path.rename(_closed_name(self._path))
        else:
            self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._file, self._size = None, 0
        self._names_changed()

    def _closed(self) -> list[Path]:
        return sorted(path for path in self._folder.glob(f"*{_CLOSED}") if path not in self._skipped)

    def _names_changed(self) -> None:
        """Make the names survive a power loss, and recount the closed files."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._closed_bytes = sum(path.stat().st_size for path in self._closed())


def _closed_name(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(_OPEN) + _CLOSED)


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False

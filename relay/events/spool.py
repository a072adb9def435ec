"""Event spool: files of events that wait for the store."""

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from relay.events.event import Event
from relay.events.event_line import decode_event, encode_event
from relay.events.spool_files import TIME_DIGITS, begun_at, content_of, is_left, unused

_CLOSED, _OPEN, _DAMAGED = ".jsonl", ".jsonl.open", ".jsonl.damaged"

_REJECTED = f"rejected{_DAMAGED}"
"""File of the events that the store cannot hold."""

_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class SpoolError(Exception):
    """The folder cannot be read or written now; the message names it and the cause."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Content of one closed file: its events, whether its last line is torn, and the number of other damaged lines."""

    path: Path
    events: tuple[Event, ...]
    torn: bool = False
    damaged: int = 0
    fault: str = ""
    """What is wrong with the first damaged line."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in a spool: files, their octets, and since when, in Unix seconds; None when nothing waits."""

    files: int = 0
    octets: int = 0
    since: float | None = None

    def shown(self, now: float) -> dict[str, object]:
        """Return it for health reports, with the age in seconds."""
        age = 0.0 if self.since is None else round(max(0.0, now - self.since), 1)
        return {"files": self.files, "octets": self.octets, "age": age}


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
        self._closed_files = 0
        self._since: float | None = None
        self.irregular: frozenset[str] = frozenset()
        """Names of spool files that are no regular files, and are left alone."""
        self._is_new = True
        """Whether the store was never asked to record the events of the open file."""
        self._new: set[Path] = set()
        """Closed files of such events."""
        self._skipped: set[Path] = set()
        """Files that could be neither read nor renamed."""

    @property
    def backlog(self) -> Backlog:
        """What waited when the folder was last listed, at most some seconds ago."""
        begun = [self._begun / 1000] if self._file is not None and self._size else []
        times = [*begun, *([] if self._since is None else [self._since])]
        return Backlog(self._closed_files + len(begun), self._closed_bytes + self._size, min(times, default=None))

    @property
    def filled(self) -> float:
        """The part of `total_bytes` that is taken."""
        return (self._closed_bytes + self._size) / max(self._total_bytes, 1)

    def recover(self) -> int:
        """Make the folder, close the files that an earlier process left open, and return their number.

        A file that a running process writes is locked and skipped.
        """
        with self._working():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            left = [path for path in self._folder.glob(f"*{_OPEN}") if is_left(path)]
            for path in left:
                path.rename(unused(_closed_name(path)))
            self._names_changed()
            return len(left)

    def is_new(self, path: Path) -> bool:
        """Whether a closed file has only events of this process that the store was never asked to record."""
        return path in self._new

    def append(self, lines: bytes, *, is_new: bool = False) -> None:
        """Write encoded events, all or none, with one fsync. Raises SpoolError also when the folder is full.

        `is_new` is whether the store was never asked to record them.
        """
        with self._working():
            held = self._closed_bytes + self._size
            if held + len(lines) > self._total_bytes:
                raise SpoolError(f"{self._folder}: full, {held} of {self._total_bytes} bytes are taken")
            self._write(lines)
            self._is_new &= is_new
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
            self._closed()

    def read(self, path: Path) -> Segment:
        """Read a closed file. A line without a valid event is skipped and counted.

        A last line without its newline counts if it is whole: nothing follows it.
        """
        with self._working():
            *lines, rest = content_of(path).split(b"\n")
        events: list[Event] = []
        faults: list[str] = []
        for number, line in enumerate(lines, 1):
            try:
                if line.strip():
                    events.append(decode_event(line))
            except ValueError as error:
                faults.append(f"line {number}: {error}")

        torn = bool(rest.strip())
        if torn:
            with suppress(ValueError):
                events.append(decode_event(rest))
                torn = False
        return Segment(path, tuple(events), torn=torn, damaged=len(faults), fault="".join(faults[:1]))

    def reject(self, event: Event) -> str:
        """Keep an event that the store cannot hold, for the operator; return the name of its file."""
        with self._working():
            file = os.open(self._folder / _REJECTED, _APPENDING, 0o600)
            try:
                if os.fstat(file).st_size > self._total_bytes:
                    raise SpoolError(f"{self._folder / _REJECTED}: full; move it away")
                os.write(file, encode_event(event))
                os.fsync(file)
            finally:
                os.close(file)
        return _REJECTED

    def remove(self, path: Path) -> None:
        """Delete a file whose events are in the store."""
        with self._working():
            path.unlink(missing_ok=True)
            self._new.discard(path)
            self._names_changed()

    def set_aside(self, path: Path) -> None:
        """Rename a damaged file, which is kept for the operator and read no more."""
        with self._working():
            try:
                path.rename(unused(path.with_name(path.name.removesuffix(_CLOSED) + _DAMAGED)))
            except OSError:
                self._skipped.add(path)
            self._names_changed()

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except OSError as error:
                # The caller keeps the events, and may store them before the file is read.
                self._is_new = False
                self._new.clear()
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
        self._path = self._folder / f"{self._begun:0{TIME_DIGITS}d}-{secrets.token_hex(4)}{_OPEN}"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._is_new = True
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._names_changed()
        return self._file

    def _close_segment(self) -> None:
        if self._file is None:
            return
        if self._size:
            closed = self._path.rename(unused(_closed_name(self._path)))
            if self._is_new:
                self._new.add(closed)
        else:
            self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._file, self._size = None, 0
        self._names_changed()

    def _closed(self) -> list[Path]:
        """List the closed files, oldest first, and measure them."""
        found: dict[Path, os.stat_result] = {}
        irregular: set[str] = set()
        for path in self._folder.glob(f"*{_CLOSED}"):
            with suppress(FileNotFoundError):
                status = path.lstat()
                if not stat.S_ISREG(status.st_mode):
                    irregular.add(path.name)
                elif path not in self._skipped:
                    found[path] = status

        self.irregular = frozenset(irregular)
        self._closed_files = len(found)
        self._closed_bytes = sum(status.st_size for status in found.values())
        self._since = min((begun_at(path, status) for path, status in found.items()), default=None)
        return sorted(found)

    def _names_changed(self) -> None:
        """Make the names survive a power loss, and recount the closed files."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._closed()


def _closed_name(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(_OPEN) + _CLOSED)

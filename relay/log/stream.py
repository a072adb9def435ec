"""The open log: a file, a FIFO, or standard error. A write never waits for a reader."""

import os
import select
import stat
from pathlib import Path

MAX_WAITING = 1024 * 1024
"""Octets that wait for a reader, at most."""

_STANDARD_ERROR = 2

_MODE = 0o666
"""Rights of a new file, before the umask."""


class LogStream:
    """Writes text to a file, or to standard error for a path of None. Raises OSError if it cannot be opened."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._descriptor = _STANDARD_ERROR if path is None else _open(path)
        self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._waiting = b""

    def write(self, text: str) -> int:
        """Write the text, or keep it until a reader takes what came before it. Return its length.

        Raises OSError if it can be neither written nor kept.
        """
        data = text.encode("utf-8", "backslashreplace")
        self._send()
        if self._waiting and len(self._waiting) + len(data) > MAX_WAITING:
            raise BlockingIOError("the log has no reader")
        self._waiting += data
        before = len(self._waiting)
        try:
            self._send()
        except OSError:
            # A line that is written in part is completed later. One that is not is lost.
            if len(self._waiting) == before:
                self._waiting = self._waiting[: -len(data)]
                raise
        return len(text)

    def flush(self) -> None:
        """Write what waits. Raises OSError if some of it must still wait."""
        self._send()
        if self._waiting:
            raise BlockingIOError("the log has no reader")

    def reopen(self) -> None:
        """Open the file at the path anew and close the one that is open. Raises OSError if it cannot be opened."""
        if self.path is None:
            return
        descriptor = _open(self.path)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)

    def _send(self) -> None:
        """Write as much as is possible without waiting."""
        while self._waiting:
            if self._is_file:
                data = self._waiting
            elif self._is_writable():
                # A pipe that is writable takes at least this much at once.
                data = self._waiting[: select.PIPE_BUF]
            else:
                return
            try:
                written = os.write(self._descriptor, data)
            except BlockingIOError:
                return
            self._waiting = self._waiting[written:]

    def _is_writable(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(0))


def _open(path: Path) -> int:
    """Open a log to append. A FIFO is opened without waiting for its reader."""
    is_fifo = path.exists() and stat.S_ISFIFO(path.stat().st_mode)
    access = os.O_RDWR if is_fifo else os.O_WRONLY
    return os.open(path, access | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, _MODE)

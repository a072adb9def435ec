"""Structured log lines as JSON, as text for a console, or in the form of Postfix for its tools.

Each line has a name from LINES. Lines about a message have its `queue_id`. `docs/log.md` lists all lines.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TextIO

from relay.log.formats import FORMS
from relay.log.lines import level_of
from relay.log.stream import LogStream

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_TRACEBACKS = logging.Formatter()

Emit = Callable[..., None]
"""Writes one line: `log("message.delivered", queue_id=…, …)`."""


def unlogged(_: str, /, **__: object) -> None:
    """Write nothing: an `Emit` for callers without a log."""


def unlogged_line(_: str, __: Mapping[str, Any]) -> None:
    """Do nothing with a line."""


Line = tuple[str, Mapping[str, Any]]
"""The name of a line and its fields."""


class Log:
    """Writes lines at or above a level to a stream, in the form "json", "console" or "postfix".

    It never raises OSError and never waits for a reader, because a failing log must not stop the work that it records.
    """

    def __init__(self, stream: TextIO | LogStream, form: str, level: int = logging.INFO) -> None:
        self._stream = stream
        self._format = FORMS[form]
        self._level = level
        self._lock = Lock()
        self._lost = 0
        self.watched: frozenset[str] = frozenset()
        """Lines that are given to `on_line` too, whatever the level."""
        self.on_line: Callable[[str, Mapping[str, Any]], None] = unlogged_line
        self.export: Callable[[Sequence[Line]], None] | None = None
        """Gets the lines at or above the level too. It neither waits nor raises."""

    def __call__(self, line: str, /, **fields: object) -> None:
        """Write one line."""
        self.several([(line, fields)])

    def several(self, lines: Sequence[Line]) -> None:
        """Write several lines with one system call."""
        if self.watched:
            for line, fields in lines:
                if line in self.watched:
                    self.on_line(line, fields)
        if self.export is not None:
            self.export([one for one in lines if _LEVELS[level_of(one[0])] >= self._level])
        texts = [text for line, fields in lines if (text := self._text(line, fields))]
        if texts:
            with self._lock:
                self._write(texts)

    def _text(self, line: str, fields: Mapping[str, Any]) -> str:
        """Return the formatted line, "" if it is below the level."""
        level = level_of(line)
        return self._format(line, level, fields) if _LEVELS[level] >= self._level else ""

    def _write(self, texts: Sequence[str]) -> None:
        try:
            if self._lost:
                self._stream.flush()  # Raises while the stream is not writable, before more is added to its buffer.
                lost = self._format("log.lost", level_of("log.lost"), {"lines": self._lost})
                self._stream.write(lost + "\n")
            self._stream.write("\n".join([*texts, ""]))
        except OSError:
            self._lost += len(texts)
        else:
            self._lost = 0

    def reopen(self) -> None:
        """Open the file anew, after it was renamed. A stream that is no file stays open."""
        if not isinstance(self._stream, LogStream) or self._stream.path is None:
            return
        file = str(self._stream.path)
        try:
            with self._lock:
                self._stream.reopen()
        except OSError as error:
            self("log.reopen_failed", file=file, error=str(error))
        else:
            self("log.reopened", file=file)


def open_log(file: Path | None, form: str, level: str) -> Log:
    """Open a log to a file or standard error, and send warnings of libraries to it.

    Raises OSError if the file cannot be opened.
    """
    return make_log(LogStream(file), form, _LEVELS[level])


def make_log(stream: TextIO | LogStream, form: str, level: int = logging.INFO) -> Log:
    """Return a log to a stream, and send warnings of libraries to it."""
    log = Log(stream, form, level)
    logging.basicConfig(handlers=[_LibraryHandler(log)], level=logging.WARNING, force=True)
    return log


class _LibraryHandler(logging.Handler):
    """Writes log records of libraries to the log."""

    def __init__(self, emit: Emit) -> None:
        super().__init__()
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as a line `library.message`, with the traceback of an exception."""
        fields = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            fields["traceback"] = _TRACEBACKS.formatException(record.exc_info)
        self._emit("library.message", **fields)

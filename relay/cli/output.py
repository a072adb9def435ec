"""Standard streams of commands: any locale, closed or full outputs, and exceptions that no command expects."""

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

EX_SOFTWARE = 70
"""Exit code (sysexits.h): an unexpected error."""

EX_IOERR = 74
"""Exit code (sysexits.h): an error while reading or writing."""

EX_PIPE = 141
"""Exit code of a command whose reader ended, as of one that SIGPIPE ends."""

_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.ENXIO})
"""Errors of writing. Without the name of a file they are about standard output."""


class _ClosedOutput:
    """Standard output that the caller closed: writing fails, not writing does not."""

    encoding, errors = "utf-8", "strict"

    @property
    def buffer(self) -> "_ClosedOutput":
        """The stream of octets: closed too."""
        return self

    def write(self, _: object) -> int:
        """Fail."""
        raise OSError(errno.EBADF, "it is closed")

    def flush(self) -> None:
        """Do nothing: nothing is written."""

    def isatty(self) -> bool:
        """Return False."""
        return False


class _LossyErrors:
    """Standard error whose failures are ignored: there is no place to report them, and the exit code still counts."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write, if possible."""
        with suppress(OSError):
            return self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if possible."""
        with suppress(OSError):
            self.stream.flush()


def prepare_streams() -> None:
    """Make the standard streams usable: open, and able to write every character."""
    for number in range(3):  # A file opened later must not take the number of a closed stream.
        with suppress(OSError):
            os.fstat(number)
            continue
        os.dup2(os.open(os.devnull, os.O_RDWR), number)

    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115  open as long as the process
    if sys.stdout is None:
        sys.stdout = cast("TextIO", _ClosedOutput())
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
            if stream.encoding.lower() in ("ascii", "us-ascii", "ansi_x3.4-1968"):  # The locale C: as PEP 538.
                reconfigure(encoding="utf-8")
    if not isinstance(sys.stderr, _LossyErrors):
        sys.stderr = cast("TextIO", _LossyErrors(sys.stderr))


def use_utf_8() -> None:
    """Write standard output in UTF-8 in every locale: other programs read it."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(encoding="utf-8")


@contextmanager
def handled_output() -> Iterator[None]:
    """Turn errors of standard output, and of files that no command expects, into one line and an exit code.

    The output is flushed before any exit, so that a full disk is not noticed too late.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        sys.exit(EX_PIPE)
    except OSError as error:
        _discard_output()
        where = error.filename or ("standard output" if error.errno in _OUTPUT_ERRORS else "")
        sys.stderr.write(f"relay: {where}{': ' if where else ''}{error.strerror or error}\n")
        sys.exit(EX_IOERR)


def _discard_output() -> None:
    """Let what is still buffered go nowhere: Python flushes it at the exit."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report_unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an unexpected exception in one line, for `sys.excepthook`; with RELAY_TRACEBACK set, its traceback."""
    if os.environ.get("RELAY_TRACEBACK"):
        sys.__excepthook__(kind, error, trace)
    last = traceback.extract_tb(trace)[-1:]
    place = "".join(f" in {frame.filename}, line {frame.lineno}" for frame in last)
    text = " ".join(str(error).split())
    sys.stderr.write(f"relay: unexpected error{place}: {kind.__name__}: {text}; RELAY_TRACEBACK=1 shows more\n")
    sys.exit(EX_SOFTWARE)

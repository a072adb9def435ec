"""Errors of a store on disk, with texts for operators."""

import errno
import os
import sqlite3
from pathlib import Path

from relay.events.ports import RejectedError, StoreError

FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a full disk, a quota and a file size limit."""

_PROBE = bytes(1 << 16)

_NO_RESULT_CODE = 0


class StoreLockedError(StoreError):
    """Another process uses this store."""


class SchemaError(StoreError):
    """A newer version of the program, or another program, made the database."""


class DamagedError(StoreError):
    """The database is damaged, cut short, or missing where one existed; it is left unchanged."""


class AwayError(StoreError):
    """The database as a whole does not work; a smaller batch would fail too."""


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code (https://sqlite.org/rescode.html), 0 when the driver itself raised."""
    return getattr(error, "sqlite_errorcode", _NO_RESULT_CODE) & 0xFF


def spoils_batch(error: BaseException) -> bool:
    """Whether the error comes from the disk or the file and not from one operation."""
    return isinstance(error, sqlite3.Error) and primary_code(error) in _OF_THE_FILE


_OF_THE_FILE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)

_OF_THE_VALUES = frozenset(
    {sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE}
)


def store_error(error: Exception, path: Path) -> StoreError:
    """Convert an error of the driver; `full` for a full disk, a quota or a file size limit.

    Values that SQLite or its driver cannot hold become a RejectedError.
    """
    if not isinstance(error, sqlite3.Error) or primary_code(error) in _OF_THE_VALUES:
        return RejectedError(f"{path.name}: {error}")
    full = isinstance(error, sqlite3.Error) and _is_full(error, path)
    return StoreError(f"{path.name}: {error}", full=full)


def _is_full(error: sqlite3.Error, path: Path) -> bool:
    """Detect a full disk. SQLITE_FULL means ENOSPC only; quotas and size limits appear as I/O errors: try a write."""
    match primary_code(error):
        case sqlite3.SQLITE_FULL:
            return True
        case sqlite3.SQLITE_IOERR:
            return not _can_grow(path)
        case _:
            return False


def _can_grow(path: Path) -> bool:
    """Whether a file beside the database can grow beyond the size of the write-ahead log."""
    log, probe = Path(f"{path}-wal"), Path(f"{path}-probe")
    try:
        size = max(file.stat().st_size for file in (log, path) if file.exists())
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            return os.pwrite(descriptor, _PROBE, size) == len(_PROBE)
        finally:
            os.close(descriptor)
            probe.unlink(missing_ok=True)
    except OSError as error:
        return error.errno not in FULL_ERRNOS

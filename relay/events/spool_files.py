"""Files of a spool: names, the reading of what may be no file, and whether a process writes it."""

import errno
import fcntl
import os
import secrets
import stat
from pathlib import Path

TIME_DIGITS = 13
"""Digits of the milliseconds with which the name of a file begins."""

_MAX_FILE = 256 * 1024 * 1024
"""Octets of a file, at most: it is read into memory."""

_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A name in the folder may be a link or a pipe, which is not followed or waited for."""


def unused(path: Path) -> Path:
    """Return the path, or one like it if a file has that name: no rename replaces a file."""
    while os.path.lexists(path):
        path = path.with_name(f"{path.name.partition('.')[0]}-{secrets.token_hex(4)}.{path.name.partition('.')[2]}")
    return path


def begun_at(path: Path, status: os.stat_result) -> float:
    """Return the Unix time at which a file was begun: by its name, else that of its last change."""
    digits = path.name.partition("-")[0]
    return int(digits) / 1000 if len(digits) == TIME_DIGITS and digits.isdecimal() else status.st_mtime


def content_of(path: Path) -> bytes:
    """Return the octets of a regular file. Raises OSError."""
    with os.fdopen(os.open(path, _READING), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if status.st_size > _MAX_FILE:
            raise OSError(errno.EFBIG, f"{status.st_size} octets are more than the {_MAX_FILE} of a spool file")
        return file.read()


def is_left(path: Path) -> bool:
    """Whether no process writes this regular file."""
    try:
        file = os.open(path, _READING)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return False
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True

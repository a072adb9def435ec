"""An exclusive lock on a file beside the database, so that one process uses a store.

The file also marks that a database existed, so that a lost database is not replaced by an empty queue.
"""

import fcntl
import os
from pathlib import Path

from relay.storage.errors import StoreLockedError

_MARK = b"the database was made\n"


class StoreLock:
    """The lock of a database file; held until `release` or the end of the process."""

    def __init__(self, database: Path) -> None:
        """Take the lock. Raises StoreLockedError when another process has it."""
        self.path = Path(f"{database}.lock")
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise StoreLockedError(
                f"{database}: another relay process works on it ({self.path.name} is locked); stop that one first"
            ) from None

    @property
    def marked(self) -> bool:
        """Whether a database was made under this lock before."""
        return os.pread(self._descriptor, len(_MARK), 0) == _MARK

    def mark(self) -> None:
        """Record durably that a database exists, after it was made."""
        os.pwrite(self._descriptor, _MARK, 0)
        os.fsync(self._descriptor)
        sync_folder(self.path.parent)

    def release(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

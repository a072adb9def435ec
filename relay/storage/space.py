"""The space a store may fill: the disk's, and what a file size limit leaves of it."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from relay.events.ports import StoreError
from relay.storage.connection import PAGE_SIZE

_RESERVE = 64 << 20
_CHECKPOINT_PAGES = 1024
_LEAST_CHECKPOINT_PAGES = 64


@dataclass(frozen=True, slots=True)
class Space:
    """How much of a disk the database at `path` may use.

    New messages leave `reserve` bytes free: what was accepted must still be delivered and settled, and both write.
    """

    path: Path
    reserve: int
    checkpoint_pages: int
    """Pages of the write-ahead log after which it is emptied into the database; fewer on a small disk."""

    @classmethod
    def at(cls, path: Path) -> "Space":
        """Measure the disk."""
        total, free = _disk(path)
        pages = max(_LEAST_CHECKPOINT_PAGES, min(_CHECKPOINT_PAGES, free // 16 // PAGE_SIZE))
        return cls(path, min(_RESERVE, total // 8), pages)

    def check(self, size: int) -> None:
        """Raise StoreError when a message of that size would eat into the reserve.

        It is counted twice: it is written to the log, then to the database.
        """
        _, free = _disk(self.path)
        if free < self.reserve + 2 * size:
            raise StoreError(
                f"{self.path.parent}: too little space for new mail: {free} bytes can still be written, "
                f"{self.reserve} of them are kept for mail already accepted",
                full=True,
            )


def _disk(path: Path) -> tuple[int, int]:
    """Return how large the database may become, and how much it may still grow, in bytes."""
    disk = os.statvfs(path.parent)
    total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return total, free
    return min(total, limit), min(free, limit - path.stat().st_size)

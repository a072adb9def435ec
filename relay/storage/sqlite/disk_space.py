"""Space available to a store: that of the disk, within the file size limit."""

import os
from dataclasses import dataclass
from pathlib import Path

from relay.disk_space import reserve_of, space_of
from relay.events.ports import StoreError
from relay.storage.errors import FULL_ERRNOS
from relay.storage.sqlite.connection import PAGE_SIZE

_EASE = 16 << 20

_CHECKPOINT_PAGES = 1024

_LEAST_CHECKPOINT_PAGES = 64

_BLOCK = bytes(1 << 20)


@dataclass(slots=True)
class DiskSpace:
    """Disk space for the database at `path`.

    New messages leave `reserve` bytes free: delivering and settling accepted messages writes too. After a refusal the
    disk counts as full until clearly more is free. Otherwise an almost full disk would alternate with every message.
    """

    path: Path
    reserve: int
    checkpoint_pages: int
    """Pages of the write-ahead log before a checkpoint; fewer on a small disk."""
    reusable: int = 0
    """Bytes of free pages in the database, as measured while the disk was full, less those of mail since."""
    _wanted: int = 0
    """Bytes beyond the reserve at which the disk no longer counts as full; 0 when it does not."""

    @classmethod
    def at(cls, path: Path) -> "DiskSpace":
        """Measure the disk. A file that a process left while it tried the space is removed."""
        _room(path).unlink(missing_ok=True)
        total, free = space_of(path)
        pages = max(_LEAST_CHECKPOINT_PAGES, min(_CHECKPOINT_PAGES, free // 16 // PAGE_SIZE))
        return cls(path, reserve_of(total), pages)

    def check(self, *sizes: int) -> None:
        """Raise StoreError when a message of one of these sizes would use the reserve.

        A size counts twice: the message is written to the log, then to the database. The disk is measured once, because
        each measurement releases the GIL, and waits for it again.
        """
        left = self._beyond_reserve()
        for size in sizes:
            if left < 2 * size:
                self.refused(size)
                raise self._full()
            left -= min(size, self.reusable)
            self.reusable = max(self.reusable - size, 0)

    def refused(self, size: int) -> None:
        """From now on the disk counts as full, because a message of that size found no space."""
        self._wanted = max(self._wanted, 2 * size + min(_EASE, self.reserve // 4))

    def check_ease(self) -> None:
        """Raise StoreError while the disk counts as full: below the reserve, or not yet far enough above it.

        At the end the space is written to. A disk shows what is free for all users, not what a quota leaves to one.
        """
        self.check(0)
        if self._beyond_reserve() < self._wanted:
            raise self._full()
        if self._wanted:
            _fill(_room(self.path), self._wanted - self.reusable)
        self._wanted = 0

    @property
    def is_full(self) -> bool:
        """Whether mail was refused, and not clearly more is free since."""
        return bool(self._wanted)

    def _beyond_reserve(self) -> int:
        """Return the bytes that new mail may use. The log always needs room on the disk itself."""
        _, free = space_of(self.path)
        if free < self.checkpoint_pages * PAGE_SIZE:
            return free - self.reserve
        return free + self.reusable - self.reserve

    def _full(self) -> StoreError:
        return StoreError(
            f"{self.path.parent}: too little space for new mail: {self._beyond_reserve() + self.reserve} bytes can "
            f"still be written, {self.reserve} of them are kept for mail already accepted",
            full=True,
        )


def _room(path: Path) -> Path:
    """Return the file that is written to try the space."""
    return Path(f"{path}-room")


def _fill(file: Path, size: int) -> None:
    """Write a file of that many octets, and remove it. Raises StoreError when it does not fit."""
    try:
        with file.open("wb") as room:
            for _ in range(0, size, len(_BLOCK)):
                room.write(_BLOCK)
            room.flush()
            os.fsync(room.fileno())
    except OSError as error:
        raise StoreError(f"{file.name}: {error.strerror}", full=error.errno in FULL_ERRNOS) from error
    finally:
        file.unlink(missing_ok=True)

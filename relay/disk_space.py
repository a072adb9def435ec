"""Free space of disks, and the part of it that is kept for accepted mail."""

import os
import resource
from collections.abc import Callable, Sequence
from pathlib import Path

RESERVE = 64 << 20
"""Octets that are kept for mail already accepted; an eighth of a smaller disk."""

EVENT_RESERVES = 3
"""Reserves below which events of readers are not kept: mail is accepted down to one."""


def space_of(file: Path) -> tuple[int, int]:
    """Return the maximum size of a file on its disk, and its remaining growth, in octets. Raises OSError."""
    disk = os.statvfs(file.parent)
    total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return total, free
    return min(total, limit), min(free, limit - (file.stat().st_size if file.exists() else 0))


def reserve_of(total: int) -> int:
    """Return the reserve of a disk with that many octets."""
    return min(RESERVE, total // 8)


class EventSpace:
    """Whether the disks of these files have room for events of readers.

    They share the reserve of mail, and stop well before mail is refused. Once short, one more reserve must be free.
    """

    def __init__(self, files: Sequence[Path], measure: Callable[[Path], tuple[int, int]] = space_of) -> None:
        self._files = files
        self._measure = measure
        self.is_short = False
        self.free = 0
        """Octets free on the shortest disk."""

    def check(self) -> bool:
        """Measure the disks, and return whether they are short of space. A disk that cannot be measured is not."""
        wanted = EVENT_RESERVES + self.is_short
        shortest: list[tuple[int, bool]] = []
        for file in self._files:
            try:
                total, free = self._measure(file)
            except OSError:
                continue
            shortest.append((free, free < wanted * reserve_of(total)))
        self.free = min((free for free, _ in shortest), default=0)
        self.is_short = any(short for _, short in shortest)
        return self.is_short

"""The memory that the allocator of the C library keeps after it was freed. Only glibc has these settings."""

import ctypes

from relay.content_file import LARGE

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD (mallopt(3))."""


def return_large_blocks() -> None:
    """Give blocks above 1 MiB a mapping of their own, which is returned to the system when they are freed.

    By itself glibc raises the threshold to the largest block that was freed, at most 32 MiB. Then each thread that has
    read a content of 25 MB keeps 50 MB, after the content was freed.
    """
    _set(_MMAP_THRESHOLD, LARGE)


def keep_small_blocks(octets: int) -> None:
    """Keep that much freed memory of blocks up to 1 MiB for later ones, instead of twice the largest block.

    A process that handles one message at a time would return its memory after each and get it back, cleared, for the
    next.
    """
    _set(_MMAP_THRESHOLD, LARGE)
    _set(_TRIM_THRESHOLD, octets)


def _set(parameter: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(parameter, value)

"""The allocator of the C library: memory of large contents goes back to the system as soon as it is free."""

import ctypes

from relay.content_file import LARGE

_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD (mallopt(3))."""


def return_large_blocks() -> None:
    """Give blocks above 1 MiB a mapping of their own, with glibc. Other libraries do so, or are left as they are.

    By itself glibc raises the threshold to the largest block that was freed, at most 32 MiB. Then each thread that has
    read a content of 25 MB keeps 50 MB, after the content was freed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGE)

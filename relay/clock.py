"""The clock: the one place where time is read. Everything below the edge gets `now` as a value."""

import time
from collections.abc import Callable

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


Clock = Callable[[], float]
"""A clock answers the seconds since the Unix epoch, as a float."""


def system_clock() -> float:
    """Return the wall clock in Unix seconds."""
    return time.time()


def steady_clock() -> float:
    """Return the seconds since some moment, by a clock nobody can set; it goes on while the machine sleeps."""
    return time.clock_gettime(_STEADY)

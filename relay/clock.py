"""Clocks. Time is read here only; pure code gets `now` as an argument."""

import time
from collections.abc import Callable

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Clock = Callable[[], float]
"""Returns seconds since the Unix epoch."""


def system_clock() -> float:
    """Return the time of the system clock, in Unix seconds."""
    return time.time()


def steady_clock() -> float:
    """Return monotonic seconds, including time in system suspend; the clock cannot be set."""
    return time.clock_gettime(_STEADY)

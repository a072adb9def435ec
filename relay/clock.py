"""Clocks. Time is read here only; pure code gets `now` as an argument."""

import time
from collections.abc import Callable
from functools import partial

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Clock = Callable[[], float]
"""Returns seconds since the Unix epoch."""


system_clock: Clock = time.time
"""Returns the time of the system clock, in Unix seconds."""

steady_clock: Clock = partial(time.clock_gettime, _STEADY)
"""Returns monotonic seconds, including time in system suspend; the clock cannot be set."""

"""The clock: the one place where time is read. Everything below the edge gets `now` as a value."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""A clock answers the seconds since the Unix epoch, as a float."""


def system_clock() -> float:
    """Return the wall clock in Unix seconds."""
    return time.time()

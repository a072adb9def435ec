"""How the cost of a function grows with its input: a ratio, since seconds say more about the machine than about it."""

import time
from collections.abc import Callable
from math import inf
from typing import TypeVar

Input = TypeVar("Input")

TIMES = 4
"""How much larger the large input is. Its cost is 4 times that of the small one if linear, 16 times if quadratic."""
LIMIT = 9
ROUNDS = 50
"""How often a ratio over the limit is measured again: on a busy machine single rounds are worth little."""
SHORTEST = 0.0005
"""Seconds below which a cost is too short to be measured, and counts as this."""


def assert_linear(run: Callable[[Input], object], make: Callable[[int], Input], size: int) -> None:
    """Fail if the processor time of `run(make(size))` grows faster than `size`. `make` itself is not measured."""
    small, large = make(size // TIMES), make(size)
    least_small = least_large = inf
    for _ in range(ROUNDS):
        least_small = min(least_small, _seconds(run, small))
        least_large = min(least_large, _seconds(run, large))
        if least_large <= LIMIT * max(least_small, SHORTEST):
            return
    raise AssertionError(
        f"{TIMES} times the input takes {least_large / least_small:.1f} times as long ({least_large} s)"
    )


def _seconds(run: Callable[[Input], object], value: Input) -> float:
    began = time.process_time()
    run(value)
    return time.process_time() - began

"""When bounces and complaints are too many."""

import pytest

from relay.limits.outcome_rates import Excess, OutcomeCounts, RateLimits, find_excess

LIMITS = RateLimits(86400.0, 0.1, 10, 0.003, 3)


@pytest.mark.parametrize(
    ("counts", "cause"),
    [
        (OutcomeCounts(), None),
        (OutcomeCounts(9, 9), None),
        (OutcomeCounts(10, 10), "bounces"),
        (OutcomeCounts(100, 10), "bounces"),
        (OutcomeCounts(101, 10), None),
        (OutcomeCounts(1_000_000, 99_999), None),
        (OutcomeCounts(1_000_000, 100_000), "bounces"),
        (OutcomeCounts(1000, 0, 2), None),
        (OutcomeCounts(1000, 0, 3), "complaints"),
        (OutcomeCounts(1001, 0, 3), None),
        (OutcomeCounts(0, 0, 3), "complaints"),
        (OutcomeCounts(100, 100, 3), "complaints"),
    ],
)
def test_a_rate_and_a_number_must_be_reached(counts: OutcomeCounts, cause: str | None) -> None:
    found = find_excess(counts, LIMITS)
    assert (found.cause if found else None) == cause


def test_the_reason_has_the_figures() -> None:
    assert find_excess(OutcomeCounts(200, 24, 1), LIMITS) == Excess(
        "bounces", "24 of 200 recipients bounced within 24 hours (12 %, the limit is 10 %)"
    )
    assert find_excess(OutcomeCounts(1000, 24, 4), LIMITS) == Excess(
        "complaints", "4 of 1000 recipients complained within 24 hours (0.4 %, the limit is 0.3 %)"
    )


def test_a_rate_of_0_pauses_none() -> None:
    off = RateLimits(86400.0, 0.0, 10, 0.0, 3)
    assert find_excess(OutcomeCounts(100, 100, 100), off) is None

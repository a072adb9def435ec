"""Counts of the last hour."""

from relay.metrics import HourlyCounts

NOW = 1_800_000_000.0


def test_only_the_last_sixty_minutes_count() -> None:
    hour = HourlyCounts()
    hour.count("delivered", NOW, 3)
    hour.count("delivered", NOW + 59)
    hour.count("bounced", NOW + 1800)
    assert hour.sums(NOW + 3540) == {"delivered": 4, "bounced": 1}
    assert hour.sums(NOW + 3600) == {"bounced": 1}
    assert hour.sums(NOW + 1800 + 3600) == {}


def test_a_clock_that_is_set_back_loses_no_counts() -> None:
    hour = HourlyCounts()
    hour.count("delivered", NOW)
    hour.count("delivered", NOW - 120)
    assert hour.sums(NOW) == {"delivered": 2}


def test_counts_older_than_an_hour_are_dropped() -> None:
    hour = HourlyCounts()
    for minute in range(1000):
        hour.count("delivered", NOW + 60 * minute)
    assert hour.sums(NOW + 60 * 999) == {"delivered": 60}

"""The rate that a site accepts is found by its replies, in moved time."""

from dataclasses import replace

import pytest

from relay.queue.site import Site
from relay.queue.site_rate import (
    BLOCK_RECOVERY,
    DAY,
    FLOOR,
    MAX_AGE,
    RECOVERY,
    WAITS,
    RecentReplies,
    SiteRate,
    accepted,
    aged,
    blocked,
    slowed,
)
from relay.queue.site_rates import SiteRates
from tests.unit.receivers import FixedWindow, Receiver, SlidingWindow, TokenBucket, send_all

NOW = 1_800_000_000.0

SITE = Site("mx.test", connections=10)

FOUND = SiteRate(20.0, NOW, 5, used=RECOVERY, changed_at=NOW)


def found_rate(rates: SiteRates) -> float:
    traffic = rates.traffic("mx.test")
    assert traffic is not None
    assert traffic.rate is not None
    return traffic.rate.found


@pytest.mark.parametrize(
    "receiver",
    [
        *(pytest.param(FixedWindow(20, phase=phase), id=f"window-{phase}") for phase in (0, 7, 15, 22, 30, 45, 52)),
        pytest.param(SlidingWindow(20), id="sliding"),
        pytest.param(TokenBucket(20, 20), id="bucket"),
        pytest.param(TokenBucket(20, 5), id="small-bucket"),
    ],
)
def test_a_receiver_that_allows_20_a_minute_is_found_within_a_tenth_in_15_minutes(receiver: Receiver) -> None:
    rates = SiteRates()
    result = send_all(receiver, rates, SITE, minutes=15)
    assert found_rate(rates) == pytest.approx(20, rel=0.1)
    assert result.share_slowed < 0.05


@pytest.mark.parametrize("phase", [0, 22, 45])
@pytest.mark.parametrize(("most", "share"), [(5, 0.13), (50, 0.05), (120, 0.05)])
def test_lower_and_higher_limits_are_found_too_and_the_lowest_cost_more_deferrals(
    most: int, share: float, phase: float
) -> None:
    rates = SiteRates()
    result = send_all(FixedWindow(most, phase=phase), rates, SITE, minutes=15)
    assert found_rate(rates) == pytest.approx(most, rel=0.1)
    assert result.share_slowed < share


@pytest.mark.parametrize("most", [20, 100])
@pytest.mark.parametrize("kind", [FixedWindow, SlidingWindow])
def test_what_was_found_is_used(kind: type[FixedWindow | SlidingWindow], most: int) -> None:
    rates = SiteRates()
    result = send_all(kind(most), rates, SITE, minutes=40)
    assert result.per_minute(15, 40) > 0.85 * most
    assert result.share_slowed < 0.05


def test_a_site_that_accepts_more_later_gets_more() -> None:
    rates = SiteRates()
    send_all(FixedWindow(20), rates, SITE, minutes=15)
    later = send_all(FixedWindow(200), rates, SITE, minutes=45)
    assert later.per_minute(40, 45) > 150
    assert later.share_slowed < 0.05


def test_a_site_that_refuses_everything_is_probed_each_minute() -> None:
    rates = SiteRates()
    result = send_all(FixedWindow(0), rates, SITE, minutes=30)
    assert result.accepted == []
    assert len(result.slowed) <= 5 + 30
    assert rates.connections("mx.test", 10) == 1


def test_a_quota_of_an_hour_costs_few_deferrals() -> None:
    result = send_all(FixedWindow(1200, span=3600), SiteRates(), SITE, minutes=60)
    assert len(result.accepted) == 1200
    assert len(result.slowed) < 120


def test_single_replies_among_many_do_not_slow_a_site_down() -> None:
    assert slowed(None, RecentReplies(1000, 20), NOW, NOW, 10, "450 4.7.0 too often") is None
    assert slowed(None, RecentReplies(1000, 50), NOW, NOW, 10, "450 4.7.0 too often") is not None
    assert slowed(FOUND, RecentReplies(1000, 20), NOW + 9, NOW + 9, 10, "450 4.7.0 too often") == FOUND


def test_a_burst_of_requests_counts_once() -> None:
    once = slowed(None, RecentReplies(40, 2), NOW - 1, NOW, 10, "421 slow down")
    assert once is not None
    assert (once.found, once.messages_per_minute, once.connections, once.refusals) == (40, 20, 5, 1)
    assert slowed(once, RecentReplies(40, 9), NOW - 0.5, NOW + 1, 10, "421 slow down") == once


def test_each_refusal_in_a_row_lengthens_the_wait_and_one_acceptance_ends_it() -> None:
    rate, now, waits = FOUND, NOW, []
    for _ in range(4):
        now = max(rate.not_before, now) + 1
        found = slowed(rate, RecentReplies(20, 1), now, now, 10, "421 slow down")
        assert found is not None
        rate = found
        waits.append(rate.not_before - now)
    assert waits == [*WAITS, WAITS[-1]]
    assert rate.is_probing
    assert rate.connections == 1
    again = accepted(rate, rate.not_before)
    assert again is not None
    assert (again.refusals, again.is_probing) == (0, False)


def test_an_attempt_before_the_cut_proves_nothing() -> None:
    rate = replace(FOUND, refusals=2, changed_at=NOW)
    assert accepted(rate, NOW - 1) == rate


def test_the_rate_returns_to_what_was_found_and_grows_beyond_it() -> None:
    rates = [replace(FOUND, used=share * RECOVERY).messages_per_minute for share in (0, 0.5, 1, 1.5, 2, 2.5)]
    assert rates == pytest.approx([10, 19.92, 20, 20.08, 30, 190.9], rel=0.01)


def test_a_blocking_site_is_probed_after_its_pause_and_recovers_in_two_hours() -> None:
    rate = blocked(None, RecentReplies(60, 0), NOW, NOW + 900, "554 5.7.1 blocked")
    assert (rate.messages_per_minute, rate.connections, rate.not_before) == (FLOOR, 1, NOW + 900)
    for share, expected in ((0.5, 30), (0.99, 59.4)):
        assert replace(rate, used=share * BLOCK_RECOVERY).messages_per_minute == pytest.approx(expected)
    done = accepted(replace(rate, used=BLOCK_RECOVERY - 0.1), NOW + 1)
    assert done is not None
    assert (done.blocked, done.messages_per_minute) == (False, 60)


def test_a_day_without_mail_doubles_the_rate_and_a_week_forgets_it() -> None:
    rate = replace(FOUND, used=0)
    assert aged(rate, NOW + DAY - 1) == rate
    after = aged(rate, NOW + 2 * DAY + 1)
    assert after is not None
    assert after.found == 80
    assert aged(after, NOW + 2 * DAY + 2) == after
    assert aged(rate, NOW + MAX_AGE + 1) is None

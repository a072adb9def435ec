"""Quotas: rolling windows, and subjects of which strangers cannot make any number."""

from relay.limits.quota import Quota, TooMany, bucket_of, hourly_and_daily, merge_quotas, spend, subject_of
from relay.limits.window import DAY, HOUR

KEY = bytes(range(32))


def test_a_quota_holds_for_any_span_and_frees_one_use_after_another() -> None:
    quota = Quota("x", 3, HOUR)
    times: tuple[float, ...] = ()
    for at in (0.0, 10.0, 20.0):
        spent = spend(times, quota, at)
        assert not isinstance(spent, TooMany)
        times = spent
    assert spend(times, quota, 3599.0) == TooMany(HOUR)
    assert spend(times, quota, 3600.0) == (10.0, 20.0, 3600.0)
    assert spend(times, quota, 10 * HOUR) == (10 * HOUR,)


def test_a_clock_set_back_uses_nothing_up() -> None:
    assert spend((5000.0, 6000.0), Quota("x", 1), 100.0) == (100.0,)


def test_names_that_strangers_choose_have_a_bounded_number_of_subjects() -> None:
    buckets = {bucket_of(KEY, "forwards of", f"u{number}@x.test") for number in range(3000)}
    assert all(len(one.rpartition(":")[2]) == 4 for one in buckets)
    assert 2500 < len(buckets) <= 3000
    assert bucket_of(KEY, "forwards of", "a@x.test") != bucket_of(bytes(32), "forwards of", "a@x.test")
    assert len({subject_of(KEY, "forwards by", f"{number}") for number in range(3000)}) == 3000


def test_zero_is_no_limit() -> None:
    assert hourly_and_daily("x", 5, 20) == (Quota("x/h", 5, HOUR), Quota("x/d", 20, DAY))
    assert hourly_and_daily("x", 0, 20) == (Quota("x/d", 20, DAY),)
    assert hourly_and_daily("x", 0, 0) == ()


def test_several_uses_count_together_or_not_at_all() -> None:
    quota = Quota("x", 5, HOUR, uses=3)
    assert spend((), quota, 0.0) == (0.0, 0.0, 0.0)
    assert spend((0.0, 10.0, 20.0), quota, 30.0) == TooMany(HOUR)
    assert spend((0.0, 10.0, 20.0, 25.0), quota, 30.0) == TooMany(HOUR + 10.0)
    assert spend((0.0,), Quota("x", 2, HOUR, uses=3), 30.0) == TooMany(HOUR + 30.0)
    both = (Quota("x", 5), Quota("y", 5), Quota("x", 5), Quota("x", 5, DAY))
    assert merge_quotas(both) == (Quota("x", 5, uses=2), Quota("y", 5), Quota("x", 5, DAY))

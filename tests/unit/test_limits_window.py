"""Rolling windows: no closed span ever holds more than its limit."""

from hypothesis import given
from hypothesis import strategies as st

from relay.limits.window import DAY, HOUR, Ledger, Window, earliest, windows


def worst(times: list[float], span: float) -> int:
    """Return the largest number of times within any closed span, by looking at all of them."""
    return max((sum(1 for other in times if start <= other <= start + span) for start in times), default=0)


def test_no_limit_lets_everything_go_at_once() -> None:
    assert Ledger([1.0, 2.0]).earliest(windows(0, 0), 5.0) == 5.0


def test_a_burst_of_100_at_40_an_hour_leaves_in_three_hours() -> None:
    ledger = Ledger()
    times = []
    for _ in range(100):
        at = ledger.earliest(windows(40, 200), 1000.0)
        ledger.add(at)
        times.append(at)
    assert [sum(1 for at in times if at == 1000.0), worst(times, HOUR)] == [40, 40]
    assert max(times) < 1000.0 + 2 * HOUR + 1


def test_the_daily_limit_holds_over_the_hourly_one() -> None:
    ledger = Ledger()
    for _ in range(250):
        ledger.add(ledger.earliest(windows(100, 200), 0.0))
    assert worst(ledger.times, DAY) == 200


def test_a_place_reserved_for_tomorrow_blocks_nobody_today() -> None:
    ledger = Ledger([DAY * 2])
    assert ledger.earliest(windows(1, 0), 0.0) == 0.0


@given(
    st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=40),
    st.integers(1, 5),
    st.integers(1, 8),
)
def test_whatever_is_reserved_or_given_back_no_window_breaks(
    wishes: list[tuple[float, bool]], hourly: int, daily: int
) -> None:
    limits = (Window(hourly, 3.0), Window(daily, 9.0))
    ledger = Ledger()
    for at, give_back in wishes:
        if give_back and ledger.times:
            ledger.remove(ledger.times[len(ledger.times) // 2])
        granted = ledger.earliest(limits, at)
        assert granted >= at
        ledger.add(granted)
        assert worst(ledger.times, 3.0) <= hourly
        assert worst(ledger.times, 9.0) <= daily


@given(st.lists(st.floats(0, 20), max_size=12), st.floats(0, 20), st.integers(1, 3))
def test_no_earlier_time_would_have_done(wishes: list[float], at: float, limit: int) -> None:
    window = Window(limit, 3.0)
    ledger = Ledger()
    for wish in wishes:
        ledger.add(ledger.earliest((window,), wish))
    granted = ledger.earliest((window,), at)
    candidates = [at, *(time + 3.0 + 0.001 for time in ledger.times)]
    for candidate in candidates:
        if at <= candidate < granted:
            assert worst(sorted([*ledger.times, candidate]), 3.0) > limit


def test_two_ledgers_agree_on_one_time() -> None:
    identity, provider = Ledger([0.0]), Ledger([HOUR])
    one_an_hour = windows(1, 0)
    agreed = earliest([(identity, one_an_hour), (provider, one_an_hour)], 0.0)
    assert agreed > 2 * HOUR
    assert agreed < 2 * HOUR + 1

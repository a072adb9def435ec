"""Rolling windows: no closed span ever holds more than its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.limits.window import DAY, HOUR, Ledger, SlotKind, Window, earliest, windows


def worst(times: list[float], span: float) -> int:
    """Return the largest number of times within any closed span, by looking at all of them."""
    return max((sum(1 for other in times if start <= other <= start + span) for start in times), default=0)


def ledger_of(times: list[float]) -> Ledger:
    """Return a ledger with these places reserved."""
    ledger = Ledger()
    for time in times:
        ledger.add(time)
    return ledger


def test_no_limit_lets_everything_go_at_once() -> None:
    assert ledger_of([1.0, 2.0]).next_free(windows(0, 0), 5.0) == 5.0


def test_a_burst_of_100_at_40_an_hour_leaves_in_three_hours() -> None:
    ledger = Ledger()
    times = []
    for _ in range(100):
        at = ledger.next_free(windows(40, 200), 1000.0)
        ledger.add(at)
        times.append(at)
    assert [sum(1 for at in times if at == 1000.0), worst(times, HOUR)] == [40, 40]
    assert max(times) < 1000.0 + 2 * HOUR + 1


def test_the_daily_limit_holds_over_the_hourly_one() -> None:
    ledger = Ledger()
    for _ in range(250):
        ledger.add(ledger.next_free(windows(100, 200), 0.0))
    assert worst(ledger.times[SlotKind.RESERVED], DAY) == 200


def test_a_place_reserved_for_tomorrow_blocks_nobody_today() -> None:
    ledger = ledger_of([DAY * 2])
    assert ledger.next_free(windows(1, 0), 0.0) == 0.0


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
        if give_back and ledger.times[SlotKind.RESERVED]:
            ledger.remove(ledger.times[SlotKind.RESERVED][len(ledger.times[SlotKind.RESERVED]) // 2])
        granted = ledger.next_free(limits, at)
        assert granted >= at
        ledger.add(granted)
        assert worst(ledger.times[SlotKind.RESERVED], 3.0) <= hourly
        assert worst(ledger.times[SlotKind.RESERVED], 9.0) <= daily


@given(st.lists(st.floats(0, 20), max_size=12), st.floats(0, 20), st.integers(1, 3))
def test_no_earlier_time_would_have_done(wishes: list[float], at: float, limit: int) -> None:
    window = Window(limit, 3.0)
    ledger = Ledger()
    for wish in wishes:
        ledger.add(ledger.next_free((window,), wish))
    granted = ledger.next_free((window,), at)
    candidates = [at, *(time + 3.0 + 0.001 for time in ledger.times[SlotKind.RESERVED])]
    for candidate in candidates:
        if at <= candidate < granted:
            assert worst(sorted([*ledger.times[SlotKind.RESERVED], candidate]), 3.0) > limit


def test_what_is_due_leaves_although_more_is_reserved_behind_it() -> None:
    limits = windows(40, 0)
    ledger = Ledger()
    reserved = []
    for number in range(100):
        reserved.append(ledger.next_free(limits, number * 0.01))
        ledger.add(reserved[-1])
    left = []
    for place in reserved[:40]:
        ledger.remove(place)
        assert ledger.has_capacity(limits, 5.0 + place)
        ledger.add(5.0 + place, SlotKind.SENT)
        left.append(5.0 + place)
    ledger.remove(reserved[40])
    assert not ledger.has_capacity(limits, reserved[40])
    late = ledger.next_free(limits, reserved[40], SlotKind.OVERDUE)
    assert late == pytest.approx(5.0 + HOUR, abs=0.01)
    assert ledger.has_capacity(limits, late)
    assert worst(left, HOUR) == 40


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 5)), max_size=40), st.integers(1, 4))
def test_no_window_ever_sees_more_leave_than_its_limit(steps: list[tuple[float, float]], limit: int) -> None:
    """Messages are reserved as they come and leave late, by any delay."""
    limits = (Window(limit, 3.0),)
    ledger, left, now = Ledger(), [], 0.0
    for pause, late in steps:
        now += pause
        place = ledger.next_free(limits, now)
        ledger.add(place)
        now = max(now, place) + late
        ledger.remove(place)
        if ledger.has_capacity(limits, now):
            ledger.add(now, SlotKind.SENT)
            left.append(now)
        else:
            ledger.add(ledger.next_free(limits, now, SlotKind.OVERDUE), SlotKind.OVERDUE)
        assert worst(left, 3.0) <= limit


def test_two_ledgers_agree_on_one_time() -> None:
    identity, provider = ledger_of([0.0]), ledger_of([HOUR])
    one_an_hour = windows(1, 0)
    agreed = earliest([(identity, one_an_hour), (provider, one_an_hour)], 0.0)
    assert agreed > 2 * HOUR
    assert agreed < 2 * HOUR + 1

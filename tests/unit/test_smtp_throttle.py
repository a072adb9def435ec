from itertools import pairwise

import pytest

from relay.mail.transaction import network_of
from relay.smtp.throttle import DISTANCE, MAX_DELAY, MAX_ENTRIES, MEMORY, AuthThrottle

HERE, THERE = "192.0.2.1", "192.0.2.2"


def waits(throttle: AuthThrottle, client: str, names: list[str], now: float = 0.0) -> list[float]:
    """Fail once for each name, each attempt as soon as it may be, and return how long each had to wait."""
    waited = []
    for name in names:
        wait = throttle.reserve(client, name, now, longest=1000)
        assert wait is not None
        now += wait
        waited.append(wait)
        throttle.failed(client, name, now)
    return waited


def test_the_wait_grows_to_its_longest() -> None:
    waited = waits(AuthThrottle(), HERE, ["ann"] * 20)
    assert waited[0] == 0
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(waited))
    assert waited[1] < 1
    assert waited[-1] == pytest.approx(MAX_DELAY)


def test_another_address_is_not_affected() -> None:
    throttle = AuthThrottle()
    waits(throttle, HERE, ["ann"] * 10)
    assert throttle.reserve(THERE, "ann", 0, longest=0) == 0


def test_guessing_at_many_names_is_slowed_later_but_slowed() -> None:
    waited = waits(AuthThrottle(), HERE, [f"name{number}" for number in range(40)])
    assert waited[:21] == [0] * 21
    assert waited[21:] == pytest.approx([DISTANCE] * 19)


def test_who_logged_in_from_there_is_not_slowed_by_a_neighbour_who_cannot() -> None:
    throttle = AuthThrottle()
    throttle.succeeded(HERE, "ann", 0)
    now = sum(waits(throttle, HERE, ["bob"] * 30))
    assert [throttle.reserve(HERE, "ann", now, longest=0) for _ in range(5)] == [0] * 5
    assert throttle.reserve(HERE, "new", now, longest=0) is None


def test_attempts_at_the_same_time_are_looked_at_one_after_another() -> None:
    throttle = AuthThrottle()
    waits(throttle, HERE, ["ann"] * 4)
    found = [throttle.reserve(HERE, "ann", 100, longest=5) for _ in range(8)]
    granted = [wait for wait in found if wait is not None]
    assert granted == sorted(set(granted))
    assert found[len(granted) :] == [None] * (8 - len(granted))
    assert 1 < len(granted) < 8


def test_a_refused_attempt_takes_no_place() -> None:
    throttle = AuthThrottle()
    now = sum(waits(throttle, HERE, ["ann"] * 10))
    assert [throttle.reserve(HERE, "ann", now, longest=1) for _ in range(5)] == [None] * 5
    wait = throttle.reserve(HERE, "ann", now, longest=1000)
    assert wait is not None
    assert wait <= MAX_DELAY


def test_a_right_secret_clears_its_name_only() -> None:
    throttle = AuthThrottle()
    now = sum(waits(throttle, HERE, ["ann"] * 5 + ["bob"] * 5))
    throttle.succeeded(HERE, "Ann", now)
    assert throttle.reserve(HERE, "ann", now, longest=0) == 0
    assert throttle.reserve(HERE, "bob", now, longest=0) is None


def test_failures_are_forgotten() -> None:
    throttle = AuthThrottle()
    waits(throttle, HERE, ["ann"] * 10)
    assert throttle.reserve(HERE, "ann", MEMORY + 200, longest=0) == 0


def test_the_table_is_bounded_and_keeps_the_latest() -> None:
    throttle = AuthThrottle()
    for number in range(MAX_ENTRIES):
        throttle.failed(HERE, f"name{number}", 0)
    assert len(throttle) == MAX_ENTRIES
    assert throttle.reserve(HERE, f"name{MAX_ENTRIES - 1}", 0, longest=0) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::1", "::1", True),
    ],
)
def test_a_network_of_ipv6_is_one_client(one: str, other: str, *, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same

"""Shares of a resource: a party alone takes half, and something always stays free for another one."""

from hypothesis import given
from hypothesis import strategies as st

from relay.limits.shares import Shares

ONE = 1.0


def filled(shares: Shares, party: str, amount: int = 1) -> int:
    """Take as much as the party may; return that."""
    while shares.admits(amount, {party: ONE}):
        shares.take(amount, {party: ONE})
    return shares.held[party]


def test_one_party_alone_takes_half_and_each_further_one_less() -> None:
    shares = Shares(1200)
    assert filled(shares, "a") == 600
    assert filled(shares, "b") in range(299, 302)
    assert filled(shares, "c") in range(149, 152)


def test_a_party_gets_the_rest_back_as_the_others_give_back() -> None:
    shares = Shares(1200)
    filled(shares, "a")
    filled(shares, "b")
    shares.give_back(600, {"a": ONE})
    assert filled(shares, "b") == 600


def test_the_factor_is_the_ratio_to_what_is_free() -> None:
    shares = Shares(300)
    while shares.admits(1, {"lane": 0.5}):
        shares.take(1, {"lane": 0.5})
    assert shares.held["lane"] == 100


def test_an_amount_beyond_the_total_is_taken_alone() -> None:
    shares = Shares(100)
    assert shares.admits(500, {"a": ONE})
    shares.take(500, {"a": ONE})
    assert not shares.admits(1, {"b": ONE})
    shares.give_back(500, {"a": ONE})
    assert (shares.used, shares.free, dict(shares.held)) == (0, 100, {})


def test_parties_that_hold_nothing_have_a_reserve() -> None:
    shares = Shares(1200, reserve=20)
    for number in range(1000):
        filled(shares, f"hog{number}", amount=10)
    assert shares.used == 1220
    assert sum(1 for held in shares.held.values() if held) >= 9


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 50)), max_size=200))
def test_whatever_is_asked_for_a_party_that_holds_nothing_finds_room(asked: list[tuple[str, int]]) -> None:
    shares = Shares(10_000)
    for party, amount in asked * 3:
        if shares.admits(amount, {party: ONE}):
            shares.take(amount, {party: ONE})
    assert shares.used <= shares.total
    assert shares.admits(50, {"newcomer": ONE})
    # All hold at most what is free, except for the last amount taken.
    assert all(held <= shares.total / 2 for held in shares.held.values())

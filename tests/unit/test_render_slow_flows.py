"""Flows that ended a renderer: for how long, and how far beyond the author."""

from relay.limits.priority import Flow, Priority
from relay.render.slow_flows import SLOW_FOR, SlowFlows


def test_an_author_counts_for_a_while_and_others_of_the_party_do_not() -> None:
    slow = SlowFlows()
    slow.add(Flow("network:a\t01"), 100.0)
    assert slow.holds(Flow("network:a\t01", Priority.HIGH), 100.0 + SLOW_FOR - 1)
    assert not slow.holds(Flow("network:a\t02"), 101.0)
    assert not slow.holds(Flow("network:a\t01"), 100.0 + SLOW_FOR)


def test_three_authors_count_for_their_whole_party() -> None:
    slow = SlowFlows()
    for number in range(3):
        slow.add(Flow(f"network:a\t0{number}"), 100.0)
    assert slow.holds(Flow("network:a\t77"), 101.0)
    assert not slow.holds(Flow("network:b\t77"), 101.0)

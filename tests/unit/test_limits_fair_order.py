"""Turns of flows: in proportion to their weights, and the one that waits for the first time is next."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from relay.limits import fair_order
from relay.limits.fair_order import FairOrder
from relay.limits.priority import Flow, Priority

FLOWS = st.lists(st.builds(Flow, st.sampled_from("abcd"), st.sampled_from(Priority)), min_size=1, unique=True)


def served(order: FairOrder, flows: list[Flow], times: int) -> Counter[Flow]:
    counted: Counter[Flow] = Counter()
    for _ in range(times):
        first = order.order(flows)[0]
        order.serve(first)
        counted[first] += 1
    return counted


def test_the_priorities_of_a_principal_leave_four_to_two_to_one() -> None:
    flows = [Flow("a", priority) for priority in Priority]
    assert [served(FairOrder(), flows, 70)[flow] for flow in flows] == [40, 20, 10]


def test_principals_take_turns_however_much_each_has_waiting() -> None:
    flows = [Flow(name) for name in "abc"]
    assert set(served(FairOrder(), flows, 30).values()) == {10}


def test_the_priorities_count_between_principals_too() -> None:
    high, campaign = Flow("a", Priority.HIGH), Flow("b", Priority.CAMPAIGN)
    assert served(FairOrder(), [high, campaign], 50)[campaign] == 10


def test_one_that_was_idle_is_next_behind_any_backlog() -> None:
    order, backlog = FairOrder(), [Flow(f"bulk{number}") for number in range(100)]
    served(order, backlog, 1234)
    assert order.order([*backlog, Flow("single", Priority.HIGH)])[0].principal == "single"
    # Being idle saves nothing: it takes its turn like the others afterwards.
    assert served(order, [*backlog, Flow("single")], 1010)[Flow("single")] <= 11


@given(FLOWS, st.integers(1, 60))
def test_the_allotment_is_what_single_turns_give(flows: list[Flow], amount: int) -> None:
    order = FairOrder()
    served(order, flows[:1], 3)
    allotted = order.allot(flows, amount)
    assert sum(allotted.values()) == amount
    assert {flow: count for flow, count in allotted.items() if count} == served(order, flows, amount)


@given(FLOWS, st.data())
def test_no_flow_starves(flows: list[Flow], data: st.DataObject) -> None:
    """Whatever the costs of the others, each flow has its turn within the cost of one round."""
    order = FairOrder()
    waited: Counter[Flow] = Counter()
    for _ in range(200):
        first = order.order(flows)[0]
        order.serve(first, data.draw(st.floats(0.1, 3.0)))
        waited.update(flow for flow in flows if flow != first)
        waited[first] = 0
        assert max(waited.values()) <= 30 * 4 * len(flows) + 1


def test_principals_that_are_done_are_forgotten(monkeypatch: object) -> None:
    order = FairOrder()
    for number in range(fair_order._MAX_IDLE * 3):
        order.serve(Flow(f"p{number}"))
        order.serve(Flow("steady"))
    assert len(order._times) <= 3 * fair_order._MAX_IDLE

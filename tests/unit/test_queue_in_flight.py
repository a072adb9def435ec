"""Entries in flight by party: its share of them all, and the priorities within it."""

from relay.limits.priority import Flow, Priority
from relay.limits.shares import Shares
from relay.queue.in_flight import RESERVED, FlowTable


def filled(table: FlowTable, flow: Flow) -> int:
    """Start entries of the flow for as long as there is capacity; return their number."""
    started = 0
    while table.capacity().get(flow.of_party, table.initial_capacity()) > 0:
        table.start(flow, 1)
        started += 1
    return started


def test_a_party_alone_takes_half_and_its_campaigns_a_third() -> None:
    assert filled(FlowTable(Shares(1200)), Flow("network:10.0.0.1\t17")) == 600
    assert filled(FlowTable(Shares(1200)), Flow("a", Priority.CAMPAIGN)) == 400


def test_mail_that_is_no_campaign_has_room_beside_the_campaigns_of_its_party() -> None:
    table = FlowTable(Shares(1200))
    filled(table, Flow("a", Priority.CAMPAIGN))
    assert table.full() == {Flow("a", Priority.CAMPAIGN)}
    assert filled(table, Flow("a", Priority.HIGH)) == 200


def test_a_hundred_parties_that_hang_leave_room_for_another_one() -> None:
    table = FlowTable(Shares(2000))
    for number in range(100):
        filled(table, Flow(f"hog{number}"))
    assert filled(table, Flow("single")) == RESERVED
    assert {filled(table, Flow(f"hog{number}")) for number in range(100)} == {0}
    assert table.shares.held["hog99"] == RESERVED


def test_what_ended_is_free_again() -> None:
    table = FlowTable(Shares(100))
    table.start(Flow("a\t01"), 50)
    assert Flow("a") in table.full()
    table.finish(Flow("a\t01"), 50)
    assert (table.capacity(), table.full(), table.shares.used) == ({}, frozenset(), 0)

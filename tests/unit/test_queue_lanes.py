"""Lanes: how wide they are, and who answers for one that is down."""

from relay.mail.reply import Reply
from relay.queue.lanes import INITIAL_CONCURRENCY, MIN_REFUSALS, LaneTable
from relay.queue.outcome import Deferred
from relay.queue.routing import LanePause

DOWN = Deferred(Reply(451, "4.4.1", "nobody answers"), lane_down=True)

LANE = "mx:x.test"


def test_a_lane_not_in_use_starts_with_a_low_concurrency() -> None:
    lanes = LaneTable(max_concurrency=20)
    assert lanes.initial_capacity() == INITIAL_CONCURRENCY
    assert lanes.capacity(0.0) == {}
    assert LaneTable(max_concurrency=2).initial_capacity() == 2


def test_entries_in_flight_reduce_the_capacity() -> None:
    lanes = LaneTable(max_concurrency=20)
    lanes.start(LANE, 3)
    assert lanes.capacity(0.0) == {LANE: INITIAL_CONCURRENCY - 3}
    lanes.start(LANE, 7)
    assert lanes.capacity(0.0) == {LANE: 0}
    lanes.finish(LANE, 7)
    assert lanes.capacity(0.0) == {LANE: INITIAL_CONCURRENCY - 3}


def test_a_lane_like_a_new_one_is_forgotten_when_nothing_is_in_flight() -> None:
    lanes = LaneTable(max_concurrency=20)
    lanes.start(LANE, 1)
    lanes.finish(LANE, 1)
    assert lanes.lanes == {}


def test_success_raises_the_concurrency_up_to_the_maximum() -> None:
    lanes = LaneTable(max_concurrency=8)
    lanes.start(LANE, 1)
    for _ in range(10):
        lanes.succeeded(LANE, 1.0)
    assert lanes.capacity(0.0) == {LANE: 7}
    lanes.finish(LANE, 1)
    assert lanes.capacity(0.0) == {LANE: 8}


def test_a_paused_lane_returns_its_failure_and_then_tries_one_entry() -> None:
    lanes = LaneTable(max_concurrency=20)
    lanes.start(LANE, 2)
    lanes.failed(LANE, DOWN, 0.0, 30.0)
    assert lanes.failure(LANE, 29.9) == DOWN
    assert lanes.capacity(29.9) == {LANE: 18}
    assert lanes.failure(LANE, 30.0) is None
    assert lanes.capacity(30.0) == {LANE: 0}
    lanes.finish(LANE, 2)
    assert lanes.capacity(30.0) == {LANE: 1}


def test_success_ends_a_failure() -> None:
    lanes = LaneTable(max_concurrency=20)
    lanes.failed(LANE, DOWN, 0.0, 30.0)
    lanes.succeeded(LANE, 1.0)
    assert lanes.failure(LANE, 0.0) is None
    assert lanes.capacity(0.0) == {LANE: 2}


def test_idle_lanes_are_forgotten_once_their_failure_is_past() -> None:
    lanes = LaneTable(max_concurrency=20)
    lanes.failed("mx:down.test", DOWN, 0.0, 30.0)
    lanes.succeeded("mx:idle.test", 1.0)
    lanes.start("mx:busy.test", 1)
    lanes.forget_idle(29.0)
    assert set(lanes.lanes) == {"mx:down.test", "mx:busy.test"}
    lanes.forget_idle(30.0)
    assert set(lanes.lanes) == {"mx:busy.test"}


def test_an_unknown_lane_has_no_failure() -> None:
    assert LaneTable(max_concurrency=20).failure("mx:new.test", 0.0) is None


def test_a_success_in_flight_when_the_lane_failed_does_not_end_the_pause() -> None:
    lanes = LaneTable(max_concurrency=20)
    lanes.failed(LANE, DOWN, 10.0, 900.0, "535 no")
    lanes.succeeded(LANE, 9.0)
    lanes.succeeded(LANE, 10.0)
    assert lanes.pause(LANE, 11.0) == LanePause(900.0, "535 no")
    lanes.succeeded(LANE, 900.0)
    assert lanes.pause(LANE, 11.0) is None


def test_a_pause_is_new_once_and_a_short_failure_does_not_end_it() -> None:
    lanes = LaneTable(max_concurrency=20)
    assert not lanes.is_failing(LANE)
    assert lanes.failed(LANE, DOWN, 10.0, 900.0, "535 no")
    assert not lanes.failed(LANE, DOWN, 11.0, 41.0, "nobody answers")
    assert lanes.pauses(12.0) == {LANE: LanePause(900.0, "535 no")}
    assert lanes.pauses(900.0) == {}
    assert lanes.is_failing(LANE)
    assert lanes.failed(LANE, DOWN, 900.0, 1800.0)
    assert lanes.pause(LANE, 901.0) == LanePause(1800.0, str(DOWN.reply))


def test_a_pause_can_be_ended_and_the_lane_tries_one_entry() -> None:
    lanes = LaneTable(max_concurrency=20)
    assert not lanes.resume(LANE)
    lanes.failed(LANE, DOWN, 10.0, 900.0)
    assert lanes.resume(LANE)
    assert lanes.pause(LANE, 11.0) is None
    assert lanes.capacity(11.0) == {LANE: 1}


def test_refusals_of_one_kind_in_a_row_for_many_destinations_concern_our_account() -> None:
    lanes = LaneTable(max_concurrency=20)
    for number in range(MIN_REFUSALS - 1):
        assert not lanes.refused(LANE, "550 policy", f"d{number}.test")
    assert lanes.refused(LANE, "550 policy", "last.test")
    assert not lanes.refused(LANE, "554 other", "last.test")
    lanes.accepted(LANE)
    assert not any(lanes.refused(LANE, "550 policy", "one.test") for _ in range(3 * MIN_REFUSALS))


def test_a_provider_that_failed_is_remembered_until_it_works() -> None:
    """An outage of hours is new once, however seldom the provider is tried."""
    lanes = LaneTable(max_concurrency=20)
    lanes.start("provider:p", 1)
    lanes.failed("provider:p", DOWN, 0.0, 30.0)
    lanes.finish("provider:p", 1)
    lanes.forget_idle(1000.0)
    assert lanes.is_failing("provider:p")
    lanes.succeeded("provider:p", 1001.0)
    assert not lanes.is_failing("provider:p")


def test_a_full_lane_is_open_to_parties_that_hold_nothing_of_it_unless_it_fails() -> None:
    lanes = LaneTable(max_concurrency=8)
    lanes.start(LANE, 4, "a")
    assert lanes.holders(0.0) == {}
    lanes.start(LANE, 1, "b")
    assert lanes.holders(0.0) == {LANE: {"a", "b"}}
    lanes.start(LANE, 1, "c")
    lanes.finish(LANE, 1, "b")
    assert lanes.holders(0.0) == {LANE: {"a", "c"}}
    lanes.failed(LANE, DOWN, 0.0, 30.0)
    assert lanes.holders(0.0) == lanes.holders(40.0) == {}


def test_a_full_lane_is_open_to_no_more_parties_than_it_may_have_transactions() -> None:
    lanes = LaneTable(max_concurrency=8)
    lanes.start(LANE, INITIAL_CONCURRENCY, "a")
    for number in range(8):
        assert lanes.holders(0.0)
        lanes.start(LANE, 1, f"b{number}")
    assert lanes.holders(0.0) == {}

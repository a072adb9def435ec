"""Lanes: how wide they are, and who answers for one that is down."""

from relay.mail.reply import Reply
from relay.queue.lanes import FIRST_WIDTH, Lanes
from relay.queue.outcome import Deferred

DOWN = Deferred(Reply(451, "4.4.1", "nobody answers"), lane_down=True)
LANE = "mx:x.test"


def test_a_lane_not_in_use_starts_narrow() -> None:
    lanes = Lanes(widest=20)
    assert lanes.first_room() == FIRST_WIDTH
    assert lanes.room(0.0) == {}
    assert Lanes(widest=2).first_room() == 2


def test_what_is_under_way_takes_places() -> None:
    lanes = Lanes(widest=20)
    lanes.start(LANE, 3)
    assert lanes.room(0.0) == {LANE: FIRST_WIDTH - 3}
    lanes.start(LANE, 7)
    assert lanes.room(0.0) == {LANE: 0}
    lanes.finish(LANE, 7)
    assert lanes.room(0.0) == {LANE: FIRST_WIDTH - 3}


def test_a_lane_that_never_did_anything_special_is_forgotten_when_it_is_done() -> None:
    lanes = Lanes(widest=20)
    lanes.start(LANE, 1)
    lanes.finish(LANE, 1)
    assert lanes.lanes == {}


def test_success_widens_up_to_the_cap() -> None:
    lanes = Lanes(widest=8)
    lanes.start(LANE, 1)
    for _ in range(10):
        lanes.succeeded(LANE)
    assert lanes.room(0.0) == {LANE: 7}
    lanes.finish(LANE, 1)
    assert lanes.room(0.0) == {LANE: 8}


def test_a_lane_that_is_down_answers_by_its_failure_and_then_tries_one() -> None:
    lanes = Lanes(widest=20)
    lanes.start(LANE, 2)
    lanes.failed(LANE, DOWN, until=30.0)
    assert lanes.failure(LANE, 29.9) == DOWN
    assert lanes.room(29.9) == {LANE: 18}
    assert lanes.failure(LANE, 30.0) is None
    assert lanes.room(30.0) == {LANE: 0}
    lanes.finish(LANE, 2)
    assert lanes.room(30.0) == {LANE: 1}


def test_success_ends_a_failure() -> None:
    lanes = Lanes(widest=20)
    lanes.failed(LANE, DOWN, until=30.0)
    lanes.succeeded(LANE)
    assert lanes.failure(LANE, 0.0) is None
    assert lanes.room(0.0) == {LANE: 2}


def test_idle_lanes_are_forgotten_once_their_failure_is_past() -> None:
    lanes = Lanes(widest=20)
    lanes.failed("mx:down.test", DOWN, until=30.0)
    lanes.succeeded("mx:idle.test")
    lanes.start("mx:busy.test", 1)
    lanes.forget_idle(29.0)
    assert set(lanes.lanes) == {"mx:down.test", "mx:busy.test"}
    lanes.forget_idle(30.0)
    assert set(lanes.lanes) == {"mx:busy.test"}


def test_an_unknown_lane_has_no_failure() -> None:
    assert Lanes(widest=20).failure("mx:new.test", 0.0) is None

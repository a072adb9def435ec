"""Which clocks are wrong, and which nodes take part in deliveries."""

import pytest

from relay.storage.postgres.nodes import ClockChange, NodeRegistry, clock_ahead, working


@pytest.mark.parametrize(
    ("clocks", "at_work"),
    [
        ({"a": 0.0, "b": 29.0}, "ab"),
        ({"a": 0.0, "b": 31.0}, "a"),
        ({"a": -300.0, "b": 0.1, "c": 2.0}, "bc"),
        ({"a": 300.0}, "a"),
        ({"a": 300.0, "b": 301.0}, "ab"),  # The clock of the database is wrong.
        ({"a": 300.0, "b": 301.0, "c": 0.0}, "c"),
        ({"a": 100.0, "b": 60.0}, "b"),
        ({}, ""),
    ],
)
def test_a_node_stops_for_a_wrong_clock_only_if_another_is_right(clocks: dict[str, float], at_work: str) -> None:
    assert "".join(working(clocks)) == at_work


@pytest.mark.parametrize(
    ("here", "uncertain", "ahead"), [(1005.0, 1.0, 4.0), (995.0, 1.0, -4.0), (1000.5, 1.0, 0.0), (1000.0, 0.0, 0.0)]
)
def test_a_slow_answer_makes_no_clock_wrong(here: float, uncertain: float, ahead: float) -> None:
    assert clock_ahead(here, 1000.0, uncertain=uncertain) == ahead


def test_a_clock_is_reported_when_that_changes() -> None:
    registry = NodeRegistry("a", None)  # type: ignore[arg-type]

    def update(ahead: float) -> ClockChange | None:
        return registry.update({"a": ahead, "b": 0.0}, renewed=True)

    assert update(0.9) is None
    assert update(1.2) == ClockChange(1.2, off=True, works=True)
    assert update(0.8) is None
    assert update(40.0) == ClockChange(40.0, off=True, works=False)
    assert registry.share.nodes == 0
    assert update(39.0) is None
    assert update(20.0) == ClockChange(20.0, off=True, works=True)
    assert update(0.0) == ClockChange(0.0, off=False, works=True)
    assert update(0.0) is None

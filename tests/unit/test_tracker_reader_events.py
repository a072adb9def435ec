"""Requests without end make few events, and no request is lost from the count."""

from dataclasses import replace
from typing import Any

import pytest

from relay.events.event import Event, Kind
from relay.tracker import reader_events
from relay.tracker.reader_events import KEPT, PER_MESSAGE, PER_RECIPIENT, RepeatedEvents

NOW = 1_800_000_000.0 - 1_800_000_000.0 % 86400
"""Midnight."""


def event(at: float = 0.0, number: int = 0, *, kind: Kind = Kind.OPEN, queue_id: str = "A", **data: Any) -> Event:
    return Event(kind, NOW + at, queue_id, number, data={"id": f"{at}", **data})


def ask(limits: RepeatedEvents, count: int, network: str = "192.0.2.1", **of: Any) -> int:
    """Return how many of so many requests, one each second, are kept."""
    return sum(limits.admits(event(at, **of), network) for at in range(count))


def test_the_first_of_an_hour_are_kept_and_the_rest_is_one_event() -> None:
    limits = RepeatedEvents()
    assert ask(limits, 100, client="192.0.2.1", user_agent="x") == KEPT == 20
    assert limits.folded == 80
    assert limits.ended(NOW + 3599) == []
    (folded,) = limits.ended(NOW + 3660)
    counted = {"count": 80, "first_at": NOW + 20, "last_at": NOW + 99, "machine": True, "reason": "repeated"}
    assert folded == replace(event(99, client="192.0.2.1", user_agent="x"), data=folded.data)
    assert folded.data == {"id": "99", "client": "192.0.2.1", "user_agent": "x", **counted}
    assert limits.close() == []


def test_a_new_hour_begins_anew() -> None:
    limits = RepeatedEvents()
    ask(limits, 30)
    assert [limits.admits(event(3600 + at), "192.0.2.1") for at in range(KEPT + 1)] == [True] * KEPT + [False]
    assert [one.data["count"] for one in limits.close()] == [10, 1]


def test_few_requests_leave_nothing_behind() -> None:
    limits = RepeatedEvents()
    assert ask(limits, KEPT) == KEPT
    assert limits.ended(NOW + 3700) == []
    assert len(limits) == 0


@pytest.mark.parametrize(
    "other",
    [{"number": 1}, {"queue_id": "B"}, {"kind": Kind.CLICK, "target": "https://a.test/"}, {"network": "192.0.2.2"}],
)
def test_each_token_and_network_has_its_own_count(other: dict[str, Any]) -> None:
    limits = RepeatedEvents()
    assert ask(limits, 50) == KEPT
    assert ask(limits, 50, **other) == KEPT


def test_links_of_a_message_have_their_own_counts() -> None:
    limits = RepeatedEvents()
    assert ask(limits, 50, kind=Kind.CLICK, target="https://a.test/") == KEPT
    assert ask(limits, 50, kind=Kind.CLICK, target="https://b.test/") == KEPT


def test_many_networks_fill_the_day_of_the_recipient_and_of_no_other() -> None:
    limits = RepeatedEvents()
    kept = sum(limits.admits(event(1), f"10.0.{number // 256}.{number % 256}") for number in range(5000))
    assert kept == PER_RECIPIENT
    assert len(limits._windows) == 1, "of the day: networks that came once need none"
    assert ask(limits, 5, number=1) == 5
    folded = [one for one in limits.ended(NOW + 86461) if one.number == 0]
    assert [one.data["count"] for one in folded] == [5000 - PER_RECIPIENT]
    assert limits.admits(event(86461), "10.0.0.1")


def test_a_network_that_came_when_the_day_was_full_has_all_its_events_the_next_day() -> None:
    limits = RepeatedEvents()
    for number in range(PER_RECIPIENT):
        assert limits.admits(event(86390), f"10.0.{number // 256}.{number % 256}")
    assert not limits.admits(event(86395), "192.0.2.1")
    assert sum(limits.admits(event(86400 + at), "192.0.2.1") for at in range(2 * KEPT)) == KEPT


def test_many_recipients_fill_the_day_of_the_message_and_of_no_other() -> None:
    limits = RepeatedEvents()
    kept = sum(
        limits.admits(event(1, number=recipient), f"10.0.{number // 256}.{number % 256}")
        for recipient in range(20)
        for number in range(PER_RECIPIENT)
    )
    assert kept == PER_MESSAGE
    assert ask(limits, 5, queue_id="B") == 5
    assert sum(int(str(one.data["count"])) for one in limits.close()) == 20 * PER_RECIPIENT - PER_MESSAGE


def test_memory_is_bounded_and_what_is_forgotten_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_events, "MAX_WINDOWS", 100)
    monkeypatch.setattr(reader_events, "MAX_COUNTERS", 10)
    limits = RepeatedEvents()
    ask(limits, KEPT + 5)
    for number in range(1000):
        ask(limits, 1 + number % 2, queue_id=f"M{number}", network=str(number))
        assert len(limits) <= 200
        assert len(limits._counters) <= 10
    (folded,) = limits.ended(NOW)
    assert folded.data["count"] == 5


@pytest.mark.parametrize("step", [-7200, 7200])
def test_a_clock_that_is_set_ends_the_hour(step: float) -> None:
    limits = RepeatedEvents()
    ask(limits, 50)
    assert limits.admits(event(step), "192.0.2.1")
    assert [one.data["count"] for one in limits.ended(NOW + step)] == [30]

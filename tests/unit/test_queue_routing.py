"""Ways: which provider an entry goes by, when, and what its story says about it."""

import math
from dataclasses import replace

import pytest

from relay.events.event import Event, Kind
from relay.queue.entry import Entry, State
from relay.queue.message import Policy, Settlement
from relay.queue.routing import Pause, Way, because, choose, onward, send_onward, take, way_of, ways_from

NOW = 1_800_000_000.0


LATER = NOW + 3600


POLICY = Policy(provider="newsletter", fallback_providers=("backup", "direct"))


BAD_LOGIN = Pause(NOW + 900, "535 5.7.8 bad password")


ENTRY = Entry(
    "ID", 0, "u@x.test", "provider:newsletter", NOW, NOW + 259200, NOW, state=State.ACTIVE, reason="an older one"
)


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        ("newsletter", ("newsletter", "backup", "direct")),
        ("backup", ("backup", "newsletter", "direct")),
        ("direct", ("direct", "newsletter", "backup")),
        ("removed", ("removed", "newsletter", "backup", "direct")),
    ],
)
def test_mail_prefers_the_way_it_has(here: str, expected: tuple[str, ...]) -> None:
    assert ways_from(here, POLICY) == expected


def test_an_explicit_provider_has_no_other_way() -> None:
    assert ways_from("bulk", Policy(provider="bulk")) == ("bulk",)
    assert onward("bulk", Policy(provider="bulk"), {"bulk"}) is None


@pytest.mark.parametrize(
    ("asked", "paused", "expected"),
    [
        ([("newsletter", NOW)], {}, Way("newsletter", NOW)),
        (
            [("newsletter", LATER), ("backup", NOW)],
            {},
            Way("backup", NOW, "provider newsletter has no room before 2027-01-15 09:00 UTC; sent by backup"),
        ),
        ([("newsletter", LATER), ("backup", LATER)], {}, Way("newsletter", LATER)),
        (
            [("newsletter", LATER), ("backup", LATER - 1)],
            {},
            Way("backup", LATER - 1, "provider newsletter has no room before 2027-01-15 09:00 UTC; sent by backup"),
        ),
        (
            [("backup", NOW)],
            {"newsletter": BAD_LOGIN},
            Way("backup", NOW, "provider newsletter is paused: 535 5.7.8 bad password; sent by backup"),
        ),
        ([], {"newsletter": BAD_LOGIN, "backup": Pause(NOW + 30, "x")}, Way("newsletter", NOW)),
        (
            [("backup", LATER)],
            {"newsletter": BAD_LOGIN},
            Way("newsletter", NOW + 900, "waits for provider newsletter, paused: 535 5.7.8 bad password"),
        ),
        (
            [("newsletter", LATER)],
            {"backup": BAD_LOGIN},
            Way(
                "backup",
                NOW + 900,
                "provider newsletter has no room before 2027-01-15 09:00 UTC; "
                "waits for provider backup, paused: 535 5.7.8 bad password",
            ),
        ),
        (
            [("backup", NOW + 60)],
            {"newsletter": BAD_LOGIN},
            Way("backup", NOW + 60, "provider newsletter is paused: 535 5.7.8 bad password; sent by backup"),
        ),
        ([("direct", LATER)], {"newsletter": Pause(math.inf, "gone")}, None),
    ],
)
def test_the_first_with_room_now_else_the_earliest(
    asked: list[tuple[str, float]], paused: dict[str, Pause], expected: Way | None
) -> None:
    chosen = choose("newsletter", asked, paused, NOW)
    assert chosen == (expected or Way("direct", LATER, "provider newsletter is paused: gone; sent by direct"))


def test_direct_delivery_is_named_in_words() -> None:
    chosen = choose("direct", [("backup", NOW)], {"direct": Pause(LATER, "451 nobody answers")}, NOW)
    assert chosen.why == "direct delivery is paused: 451 nobody answers; sent by backup"


@pytest.mark.parametrize(
    ("here", "paused", "expected"),
    [
        ("newsletter", {"newsletter"}, "backup"),
        ("newsletter", {"newsletter", "backup"}, "direct"),
        ("newsletter", {"newsletter", "backup", "direct"}, None),
        ("backup", {"backup"}, "direct"),
        ("direct", {"direct"}, None),
        ("removed", set(), None),
    ],
)
def test_what_failed_goes_onward_and_never_back(here: str, paused: set[str], expected: str | None) -> None:
    assert onward(here, POLICY, paused) == expected


def test_onward_does_not_run_in_circles() -> None:
    """However the ways fail, one round of the schedule takes each of them once at most."""
    here: str | None = "newsletter"
    taken = []
    while here is not None:
        taken.append(here)
        here = onward(here, POLICY, {here})
    assert taken == ["newsletter", "backup", "direct"]


def test_who_changes_lanes_goes_at_once_and_carries_the_reason() -> None:
    moved = take(ENTRY, Way("direct", NOW, "why"), NOW)
    assert (moved.state, moved.lane, moved.next_attempt_at, moved.release_at) == (State.WAITING, "mx:x.test", NOW, 0)
    assert moved.reason == "why"


def test_who_waits_in_its_lane_keeps_what_it_has_and_gets_a_release_time() -> None:
    waiting = take(ENTRY, Way("newsletter", LATER), NOW)
    assert (waiting.lane, waiting.next_attempt_at, waiting.release_at) == ("provider:newsletter", LATER, LATER)
    assert waiting.reason == ENTRY.reason


def test_a_settlement_sends_on_whom_it_names_and_says_so() -> None:
    settled = replace(ENTRY, state=State.WAITING, attempts=1, next_attempt_at=NOW + 60, reason="")
    other = replace(settled, number=1, recipient="v@x.test")
    events = tuple(Event(Kind.DEFERRED, NOW, "ID", n, "", {"next_attempt_at": NOW + 60}) for n in (0, 1))
    processed = Event(Kind.PROCESSED, NOW, "ID", 0, "", {"lane": ENTRY.lane})
    why = because("newsletter", "backup", BAD_LOGIN)
    told = send_onward(Settlement((settled, other), (processed, *events)), {0: Way("backup", NOW, why)}, NOW)
    assert why == "provider newsletter is paused: 535 5.7.8 bad password; sent by backup"
    assert (told.entries[0].lane, told.entries[0].next_attempt_at, told.entries[0].reason) == (
        "provider:backup",
        NOW,
        why,
    )
    assert told.entries[1] == other
    assert told.events == (
        processed,
        replace(events[0], data={"next_attempt_at": NOW, "way": why}),
        events[1],
    )


def test_lanes_and_ways() -> None:
    assert [way_of(lane) for lane in ("provider:newsletter", "mx:x.test", "mx:[192.0.2.1]")] == [
        "newsletter",
        "direct",
        "direct",
    ]

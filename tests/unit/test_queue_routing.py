"""Ways: which provider an entry goes by, when, and what its story says about it."""

import math
from dataclasses import replace

import pytest

from relay.events.event import Event, Kind
from relay.queue.entry import Entry, State
from relay.queue.message import Settlement
from relay.queue.routing import (
    LanePause,
    Route,
    candidates,
    choose_route,
    next_fallback,
    paused_reason,
    provider_of,
    reroute,
    reschedule,
)
from relay.render.message_policy import MessagePolicy

NOW = 1_800_000_000.0

LATER = NOW + 3600

POLICY = MessagePolicy(provider="newsletter", fallback_providers=("backup", "direct"))

BAD_LOGIN = LanePause(NOW + 900, "535 5.7.8 bad password")

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
def test_mail_prefers_its_present_provider(here: str, expected: tuple[str, ...]) -> None:
    assert candidates(here, POLICY) == expected


def test_an_explicit_provider_has_no_fallback() -> None:
    assert candidates("bulk", MessagePolicy(provider="bulk")) == ("bulk",)
    assert next_fallback("bulk", MessagePolicy(provider="bulk"), {"bulk"}) is None


@pytest.mark.parametrize(
    ("asked", "paused", "expected"),
    [
        ([("newsletter", NOW)], {}, Route("newsletter", NOW)),
        (
            [("newsletter", LATER), ("backup", NOW)],
            {},
            Route("backup", NOW, "provider newsletter has no capacity before 2027-01-15 09:00 UTC; sent by backup"),
        ),
        ([("newsletter", LATER), ("backup", LATER)], {}, Route("newsletter", LATER)),
        (
            [("newsletter", LATER), ("backup", LATER - 1)],
            {},
            Route(
                "backup", LATER - 1, "provider newsletter has no capacity before 2027-01-15 09:00 UTC; sent by backup"
            ),
        ),
        (
            [("backup", NOW)],
            {"newsletter": BAD_LOGIN},
            Route("backup", NOW, "provider newsletter is paused: 535 5.7.8 bad password; sent by backup"),
        ),
        ([], {"newsletter": BAD_LOGIN, "backup": LanePause(NOW + 30, "x")}, Route("newsletter", NOW)),
        (
            [("backup", LATER)],
            {"newsletter": BAD_LOGIN},
            Route("newsletter", NOW + 900, "waits for provider newsletter, paused: 535 5.7.8 bad password"),
        ),
        (
            [("newsletter", LATER)],
            {"backup": BAD_LOGIN},
            Route(
                "backup",
                NOW + 900,
                "provider newsletter has no capacity before 2027-01-15 09:00 UTC; "
                "waits for provider backup, paused: 535 5.7.8 bad password",
            ),
        ),
        (
            [("backup", NOW + 60)],
            {"newsletter": BAD_LOGIN},
            Route("backup", NOW + 60, "provider newsletter is paused: 535 5.7.8 bad password; sent by backup"),
        ),
        ([("direct", LATER)], {"newsletter": LanePause(math.inf, "gone")}, None),
    ],
)
def test_the_first_provider_with_capacity_now_else_the_earliest(
    asked: list[tuple[str, float]], paused: dict[str, LanePause], expected: Route | None
) -> None:
    chosen = choose_route("newsletter", asked, paused, NOW)
    assert chosen == (expected or Route("direct", LATER, "provider newsletter is paused: gone; sent by direct"))


def test_direct_delivery_has_its_own_label() -> None:
    chosen = choose_route("direct", [("backup", NOW)], {"direct": LanePause(LATER, "451 nobody answers")}, NOW)
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
def test_a_failed_entry_goes_to_a_later_fallback_and_never_back(
    here: str, paused: set[str], expected: str | None
) -> None:
    assert next_fallback(here, POLICY, paused) == expected


def test_fallbacks_do_not_run_in_circles() -> None:
    """However the providers fail, one round of the schedule tries each of them at most once."""
    here: str | None = "newsletter"
    taken = []
    while here is not None:
        taken.append(here)
        here = next_fallback(here, POLICY, {here})
    assert taken == ["newsletter", "backup", "direct"]


def test_an_entry_that_changes_lanes_is_due_at_once_with_the_reason() -> None:
    moved = reschedule(ENTRY, Route("direct", NOW, "why"), NOW)
    assert (moved.state, moved.lane, moved.next_attempt_at, moved.release_at) == (State.WAITING, "mx:x.test", NOW, 0)
    assert moved.reason == "why"


def test_an_entry_that_waits_in_its_lane_gets_a_release_time() -> None:
    waiting = reschedule(ENTRY, Route("newsletter", LATER), NOW)
    assert (waiting.lane, waiting.next_attempt_at, waiting.release_at) == ("provider:newsletter", LATER, LATER)
    assert waiting.reason == ENTRY.reason


def test_reroute_changes_the_named_entries_and_their_events() -> None:
    settled = replace(ENTRY, state=State.WAITING, attempts=1, next_attempt_at=NOW + 60, reason="")
    other = replace(settled, number=1, recipient="v@x.test")
    events = tuple(Event(Kind.DEFERRED, NOW, "ID", n, "", {"next_attempt_at": NOW + 60}) for n in (0, 1))
    processed = Event(Kind.PROCESSED, NOW, "ID", 0, "", {"lane": ENTRY.lane})
    why = paused_reason("newsletter", "backup", BAD_LOGIN)
    rerouted = reroute(Settlement((settled, other), (processed, *events)), {0: Route("backup", NOW, why)}, NOW)
    assert why == "provider newsletter is paused: 535 5.7.8 bad password; sent by backup"
    assert (rerouted.entries[0].lane, rerouted.entries[0].next_attempt_at, rerouted.entries[0].reason) == (
        "provider:backup",
        NOW,
        why,
    )
    assert rerouted.entries[1] == other
    assert rerouted.events == (
        processed,
        replace(events[0], data={"next_attempt_at": NOW, "way": why}),
        events[1],
    )


def test_the_provider_of_a_lane() -> None:
    assert [provider_of(lane) for lane in ("provider:newsletter", "mx:x.test", "mx:[192.0.2.1]")] == [
        "newsletter",
        "direct",
        "direct",
    ]

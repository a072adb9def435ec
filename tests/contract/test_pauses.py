"""What every store must do with pauses: keep them over a restart, share them, end them, move them with the clock."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.queue.pause import Pause, identity_subject
from relay.storage.store import Store
from tests.contract.conftest import Opener
from tests.contract.values import NOW

PROVIDER = Pause("provider:newsletter", NOW, NOW + 900, "535 5.7.8 no \udcff", "credentials", "digest")

STORED = replace(PROVIDER, why="535 5.7.8 no ?")

IDENTITY = Pause(identity_subject("sales@acme.test"), NOW, 0.0, "12 of 100 recipients bounced", "bounces")


async def test_pauses_outlast_a_restart(opener: Opener) -> None:
    store = await opener(NOW)
    assert await store.pauses.add([PROVIDER, IDENTITY]) == [PROVIDER, IDENTITY]
    await store.close()
    store = await opener(NOW + 1)
    assert await store.pauses.pauses(NOW + 1) == [IDENTITY, STORED]


async def test_a_pause_ends_by_its_time_unless_an_operator_must_end_it(store: Store) -> None:
    await store.pauses.add([PROVIDER, IDENTITY])
    assert await store.pauses.pauses(NOW + 899) == [IDENTITY, STORED]
    assert await store.pauses.pauses(NOW + 900) == [IDENTITY]
    assert await store.pauses.pauses(NOW + 900 * 86400) == [IDENTITY]


async def test_a_shorter_pause_does_not_end_a_longer_one(store: Store) -> None:
    await store.pauses.add([STORED])
    assert await store.pauses.add([replace(STORED, at=NOW + 1, until=NOW + 30, why="less")]) == []
    assert await store.pauses.pauses(NOW + 2) == [STORED]
    longer = replace(STORED, at=NOW + 2, until=NOW + 902, why="still no")
    assert await store.pauses.add([longer]) == []
    assert await store.pauses.pauses(NOW + 2) == [longer]


async def test_a_pause_without_an_end_stays_the_first_one(store: Store) -> None:
    await store.pauses.add([IDENTITY])
    assert await store.pauses.add([replace(IDENTITY, at=NOW + 5, why="again")]) == []
    assert await store.pauses.add([replace(IDENTITY, at=NOW + 6, until=NOW + 60, why="for a minute")]) == []
    assert await store.pauses.pauses(NOW + 9) == [IDENTITY]


BY_APPLICATION = replace(IDENTITY, why="the application shop paused it", category="application")


@pytest.mark.parametrize("category", ["operator", "bounces", "complaints", "hold"])
async def test_a_decision_replaces_the_pause_of_an_application_and_is_new(store: Store, category: str) -> None:
    await store.pauses.add([BY_APPLICATION])
    later = replace(IDENTITY, at=NOW + 5, why="a decision", category=category)
    assert await store.pauses.add([later]) == [later]
    assert await store.pauses.add([replace(later, at=NOW + 6)]) == []
    assert await store.pauses.add([replace(BY_APPLICATION, at=NOW + 7)]) == []
    assert await store.pauses.pauses(NOW + 9) == [later]


@pytest.mark.parametrize(("first", "second"), [("operator", "hold"), ("hold", "operator")])
async def test_the_later_decision_of_an_operator_counts(store: Store, first: str, second: str) -> None:
    refused = replace(IDENTITY, why="one", category=first)
    held = replace(IDENTITY, at=NOW + 5, until=NOW + 60, why="another", category=second)
    await store.pauses.add([refused])
    endless = replace(held, until=0.0)
    assert await store.pauses.add([held]) == [endless], "it lasts as long as the first one"
    assert await store.pauses.pauses(NOW + 90) == [endless]


@pytest.mark.parametrize("cause", ["bounces", "complaints"])
async def test_a_hold_of_an_operator_ends_no_refusal_by_the_rates(store: Store, cause: str) -> None:
    refused = replace(IDENTITY, category=cause)
    await store.pauses.add([refused])
    assert await store.pauses.add([replace(IDENTITY, at=NOW + 5, why="another", category="hold")]) == []
    assert await store.pauses.pauses(NOW + 6) == [refused]


async def test_an_application_replaces_no_hold_of_an_operator_even_by_a_longer_pause(store: Store) -> None:
    hold = replace(IDENTITY, until=NOW + 60, why="an operator paused it", category="hold")
    await store.pauses.add([hold])
    assert await store.pauses.add([replace(BY_APPLICATION, at=NOW + 1)]) == []
    assert await store.pauses.pauses(NOW + 2) == [hold]


HOLD_BY_APPLICATION = replace(BY_APPLICATION, until=NOW + 60, category="application-hold")


@pytest.mark.parametrize("category", ["operator", "bounces", "hold"])
async def test_a_decision_replaces_the_hold_of_an_application(store: Store, category: str) -> None:
    await store.pauses.add([HOLD_BY_APPLICATION])
    later = replace(IDENTITY, at=NOW + 5, until=NOW + 30, why="a decision", category=category)
    as_long = replace(later, until=HOLD_BY_APPLICATION.until)
    assert await store.pauses.add([later]) == [as_long]
    assert await store.pauses.add([replace(HOLD_BY_APPLICATION, at=NOW + 7)]) == []
    assert await store.pauses.pauses(NOW + 9) == [as_long]


async def test_a_timed_hold_of_an_operator_ends_no_endless_one_of_an_application(store: Store) -> None:
    await store.pauses.add([replace(HOLD_BY_APPLICATION, until=0.0)])
    await store.pauses.add([replace(IDENTITY, at=NOW + 5, until=NOW + 3600, category="hold")])
    (left,) = await store.pauses.pauses(NOW + 7200)
    assert (left.category, left.until) == ("hold", 0.0)


CATEGORIES = st.sampled_from(["application", "application-hold", "operator", "hold", "bounces", "complaints"])

DECISIONS = st.lists(st.tuples(st.integers(0, 50), CATEGORIES, st.sampled_from([0, 5, 20, 60, 400])), max_size=12)


@given(DECISIONS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_later_decision_ends_a_pause_earlier(store: Store, decisions: list[tuple[int, str, int]]) -> None:
    """Whoever decides, and in which order: what is paused at a time stays so until its end."""
    await store.pauses.end(IDENTITY.subject)
    now, ends = NOW, 0.0
    for wait, category, seconds in decisions:
        now += wait
        ends = ends if now < ends else 0.0
        await store.pauses.add([replace(IDENTITY, at=now, until=now + seconds if seconds else 0.0, category=category)])
        (found,) = await store.pauses.pauses(now)
        until = found.until or inf
        assert until >= ends, (found, ends)
        ends = until


async def test_an_application_makes_its_own_hold_longer_and_no_shorter(store: Store) -> None:
    longer = replace(HOLD_BY_APPLICATION, at=NOW + 1, until=NOW + 90)
    await store.pauses.add([HOLD_BY_APPLICATION])
    await store.pauses.add([longer])
    await store.pauses.add([replace(HOLD_BY_APPLICATION, at=NOW + 2)])
    assert await store.pauses.pauses(NOW + 9) == [longer]


async def test_the_end_of_pauses_of_one_category_leaves_others(store: Store) -> None:
    await store.pauses.add([BY_APPLICATION])
    assert await store.pauses.end(IDENTITY.subject, "operator") is None
    assert await store.pauses.end(IDENTITY.subject, "application") == BY_APPLICATION
    await store.pauses.add([IDENTITY])
    assert await store.pauses.end(IDENTITY.subject, "application") is None
    assert await store.pauses.pauses(NOW) == [IDENTITY]


async def test_a_pause_after_its_end_is_a_new_one(store: Store) -> None:
    await store.pauses.add([STORED])
    again = replace(STORED, at=NOW + 901, until=NOW + 1801)
    assert await store.pauses.add([again]) == [again]


async def test_an_ended_pause_is_gone(store: Store) -> None:
    await store.pauses.add([STORED, IDENTITY])
    assert await store.pauses.end(STORED.subject) == STORED
    assert await store.pauses.end(STORED.subject) is None
    assert await store.pauses.pauses(NOW) == [IDENTITY]


async def test_a_clock_set_forward_moves_pauses(store: Store) -> None:
    await store.pauses.add([STORED, IDENTITY])
    await store.queue.shift_clock(NOW + 3700, 3600.0, 21600.0, 259200.0)
    (_, moved) = await store.pauses.pauses(NOW + 3700)
    assert (moved.at, moved.until) == (NOW + 3600, NOW + 4500)


async def test_a_clock_set_backward_leaves_no_pause_longer_than_it_was(store: Store) -> None:
    """Two nodes do so for one step."""
    await store.pauses.add([STORED, IDENTITY])
    for _ in range(2):
        await store.queue.shift_clock(NOW - 86400, -86400.0, 21600.0, 259200.0)
    found = {one.subject: one for one in await store.pauses.pauses(NOW - 86400)}
    moved = found[STORED.subject]
    assert (moved.at, moved.until) == (NOW - 86400, NOW - 86400 + 900)
    assert found[IDENTITY.subject].until == 0


async def test_a_clock_set_backward_while_the_relay_was_down_is_found_at_the_start(opener: Opener) -> None:
    store = await opener(NOW)
    await store.pauses.add([STORED])
    await store.close()
    store = await opener(NOW - 86400)
    await store.queue.recover(NOW - 86400, 21600.0)
    (moved,) = await store.pauses.pauses(NOW - 86400)
    assert (moved.at, moved.until) == (NOW - 86400, NOW - 86400 + 900)

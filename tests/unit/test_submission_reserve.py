"""Places at acceptance: overflow to the next provider, the earliest place when all are full, nothing left behind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.limits.ports import Slot
from relay.limits.window import Ledgers, Window, windows
from relay.queue.routing import Route
from relay.storage.sqlite.store import SqliteStore
from relay.submission.reserve import reserve_slots

NOW = 1_800_000_000.0

HOUR = 3600.001

DAY = 86400.001

OVER = "provider a has no capacity before {}; sent by b"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    yield opened
    await opened.close()


def ways(*, a: tuple[Window, ...] = (), b: tuple[Window, ...] | None = None, i: int = 0) -> dict[str, Ledgers]:
    """The ledgers of providers a and b, and of an identity with an hourly limit."""
    own = {"identity:x@acme.test": windows(i, 0)} if i else {}
    found: dict[str, Ledgers] = {"a": {**own, **({"provider:a": a} if a else {})}}
    return found if b is None else {**found, "b": {**own, **({"provider:b": b} if b else {})}}


async def left(store: SqliteStore, key: str, limits: tuple[Window, ...]) -> float:
    return (await store.limits.usage({key: limits}, NOW))[key].free_at


async def test_without_limits_the_first_way_is_taken(store: SqliteStore) -> None:
    assert await reserve_slots(store.limits, "M", [0, 1], ways(b=()), NOW) == {0: Route("a", NOW), 1: Route("a", NOW)}


async def test_what_the_first_has_no_room_for_overflows(store: SqliteStore) -> None:
    found = await reserve_slots(store.limits, "M", range(5), ways(a=windows(2, 0), b=()), NOW)
    why = OVER.format("2027-01-15 09:00 UTC")
    assert [found[n] for n in range(3)] == [Route("a", NOW), Route("a", NOW), Route("b", NOW, why)]
    assert [found[n].provider for n in range(5)] == ["a", "a", "b", "b", "b"]


async def test_what_overflowed_uses_no_place_of_the_first(store: SqliteStore) -> None:
    a = windows(0, 2)
    await reserve_slots(store.limits, "M", range(6), ways(a=a, b=()), NOW)
    assert (await store.limits.usage({"provider:a": a}, NOW + 1))["provider:a"].waiting == 0
    assert await left(store, "provider:a", a) == pytest.approx(NOW + DAY, abs=1e-4)


async def test_when_all_are_full_each_takes_the_earliest_place_there_is(store: SqliteStore) -> None:
    """Two an hour by a, one an hour by b: what waits leaves at three an hour."""
    found = await reserve_slots(store.limits, "M", range(9), ways(a=windows(2, 0), b=windows(1, 0)), NOW)
    times = sorted(round(way.at - NOW) for way in found.values())
    assert times == [0] * 3 + [3600] * 3 + [7200] * 3
    assert sorted(way.provider for way in found.values()) == ["a"] * 6 + ["b"] * 3
    assert not [way for way in found.values() if way.provider == "a" and way.why]


async def test_a_way_without_a_quota_ends_the_search(store: SqliteStore) -> None:
    found = await reserve_slots(store.limits, "M", range(3), ways(b=windows(9, 0), i=1), NOW)
    assert {way.provider for way in found.values()} == {"a"}
    assert [round(way.at - NOW) for way in found.values()] == [0, 3600, 7200]


async def test_a_full_identity_has_no_room_by_any_way(store: SqliteStore) -> None:
    found = await reserve_slots(store.limits, "M", range(3), ways(a=windows(9, 0), b=windows(9, 0), i=1), NOW)
    assert {way.provider for way in found.values()} == {"a"}
    assert [round(way.at - NOW) for way in found.values()] == [0, 3600, 7200]


async def test_a_single_recipient_finds_the_ways_as_others_left_them(store: SqliteStore) -> None:
    one = windows(1, 0)
    places = [await reserve_slots(store.limits, f"M{n}", [0], ways(a=one, b=one), NOW) for n in range(4)]
    assert [found[0].provider for found in places] == ["a", "b", "a", "b"]
    assert [round(found[0].at - NOW) for found in places] == [0, 0, 3600, 3600]
    await store.limits.release("M2", [0])
    assert await store.limits.reserve([Slot("X", 0, {"provider:a": one})], [NOW]) == [NOW + HOUR]

"""What every store does with limits: places in rolling windows, kept over restarts."""

import pytest

from relay.limits.ports import Slot, Usage
from relay.limits.window import DAY, HOUR, Window, windows
from relay.storage.store import Store
from tests.contract.conftest import Opener
from tests.contract.values import NOW, accepted

TWO_AN_HOUR = windows(2, 0)

STEP = HOUR + 0.001


def slot(queue_id: str, *limits: Window, key: str = "identity:a@acme.test", number: int = 0) -> Slot:
    return Slot(queue_id, number, {key: limits or TWO_AN_HOUR})


async def test_places_follow_the_windows(store: Store) -> None:
    places = await store.limits.reserve([slot(f"M{n}") for n in range(5)], [NOW] * 5)
    assert places == pytest.approx([NOW, NOW, NOW + STEP, NOW + STEP, NOW + 2 * STEP], rel=0, abs=1e-5)


async def test_a_place_suits_all_ledgers_of_a_slot(store: Store) -> None:
    await store.limits.reserve([slot("A", Window(1, HOUR), key="provider:p")], [NOW])
    both = Slot("B", 0, {"identity:a@acme.test": TWO_AN_HOUR, "provider:p": (Window(1, HOUR),)})
    assert await store.limits.reserve([both], [NOW]) == [NOW + STEP]
    places = await store.limits.reserve([slot("C"), slot("D")], [NOW + STEP, NOW + STEP])
    assert places == pytest.approx([NOW + STEP, NOW + 2 * STEP], rel=0, abs=1e-5)


async def test_a_wanted_time_is_a_lower_bound(store: Store) -> None:
    assert await store.limits.reserve([slot("A")], [NOW + 7.5]) == [NOW + 7.5]


async def test_given_back_places_are_free_again(store: Store) -> None:
    await store.limits.reserve([slot("A"), slot("A", number=1)], [NOW, NOW])
    await store.limits.release("A", [1])
    assert await store.limits.reserve([slot("B"), slot("C")], [NOW, NOW]) == [NOW, NOW + STEP]


async def test_a_place_advances_to_what_the_windows_allow_now(store: Store) -> None:
    """The limit was 1 an hour and is 2: each place moves to the earliest one, in order; the last one stays."""
    one, two = windows(1, 0), windows(2, 0)
    old = await store.limits.reserve([slot(f"M{n}", *one) for n in range(4)], [NOW] * 4)
    slots = [slot(f"M{n}", *two) for n in range(1, 4)]
    places = await store.limits.advance(slots, [NOW + 1] * 3, old[1:])
    assert places == pytest.approx([NOW + 1, NOW + STEP, NOW + 1 + STEP], rel=0, abs=1e-5)
    again = await store.limits.advance(slots, [NOW + 1] * 3, places)
    assert again == places
    usage = (await store.limits.usage({"identity:a@acme.test": two}, NOW + 1))["identity:a@acme.test"]
    assert usage.waiting == 2


async def test_a_place_does_not_advance_to_a_later_time(store: Store) -> None:
    places = await store.limits.reserve([slot(f"M{n}") for n in range(4)], [NOW] * 4)
    fewer = [slot(f"M{n}", *windows(1, 0)) for n in range(4)]
    assert await store.limits.advance(fewer, [NOW] * 4, places) == places
    assert await store.limits.reserve([slot("N")], [NOW]) == pytest.approx([NOW + 2 * STEP], rel=0, abs=1e-5)


async def test_a_place_advances_to_another_ledger_or_out_of_all(store: Store) -> None:
    await store.limits.reserve([slot("A", Window(1, HOUR)), slot("B", Window(1, HOUR))], [NOW] * 2)
    other = slot("B", Window(1, HOUR), key="provider:p")
    assert await store.limits.advance([other], [NOW], [NOW + STEP]) == [NOW]
    assert await store.limits.reserve([slot("C", Window(1, HOUR))], [NOW]) == [NOW + STEP]
    assert await store.limits.advance([Slot("C", 0, {})], [NOW + 5], [NOW + STEP]) == [NOW + 5]
    assert await store.limits.reserve([slot("D", Window(1, HOUR))], [NOW]) == [NOW + STEP]


async def test_departing_moves_the_place(store: Store) -> None:
    await store.limits.reserve([slot("A"), slot("B"), slot("C")], [NOW] * 3)
    late = NOW + 1800
    assert await store.limits.acquire(slot("A"), late) == late
    assert await store.limits.acquire(slot("B"), late) == late
    assert await store.limits.acquire(slot("C"), NOW + STEP) == late + STEP
    assert await store.limits.acquire(slot("C"), late + STEP) == late + STEP


async def test_places_survive_a_restart_with_their_messages(opener: Opener) -> None:
    store = await opener(NOW)
    await store.limits.reserve([slot("A"), slot("B")], [NOW, NOW])
    for queue_id in ("A", "B"):
        await store.queue.enqueue(accepted(queue_id))
    assert await store.limits.acquire(slot("B"), NOW + 60) == NOW + 60
    await store.close()
    later = await opener(NOW + 120)
    assert await later.limits.reserve([slot("C")], [NOW + 120]) == [NOW + STEP]
    assert await later.limits.acquire(slot("B"), NOW + 120) == NOW + 120
    await later.close()


async def test_places_in_the_future_without_a_message_are_free_after_a_restart(opener: Opener) -> None:
    store = await opener(NOW)
    await store.limits.reserve([slot("A"), slot("B")], [NOW + 60, NOW + 60])
    await store.queue.enqueue(accepted("B"))
    await store.close()
    later = await opener(NOW + 1)
    assert await later.limits.reserve([slot("C"), slot("D")], [NOW + 1, NOW + 1]) == [NOW + 1, NOW + 1 + STEP]
    await later.close()


async def test_places_of_a_forgotten_entry_stay_forgotten(opener: Opener) -> None:
    store = await opener(NOW)
    await store.limits.reserve([slot("A"), slot("B")], [NOW, NOW])
    await store.queue.enqueue(accepted("A"))
    await store.limits.release("A", [0])
    await store.close()
    later = await opener(NOW + 1)
    assert await later.limits.reserve([slot("C"), slot("D")], [NOW + 1, NOW + 1]) == [NOW + 1, NOW + STEP]
    await later.close()


async def test_places_older_than_a_day_do_not_count(opener: Opener) -> None:
    store = await opener(NOW)
    daily = (Window(1, DAY),)
    await store.limits.reserve([slot("A", *daily)], [NOW])
    await store.queue.enqueue(accepted("A"))
    await store.close()
    later = await opener(NOW + DAY + 1)
    assert await later.limits.reserve([slot("B", *daily)], [NOW + DAY + 1]) == [NOW + DAY + 1]
    await later.close()


async def test_a_day_of_departures_forgets_the_day_before(store: Store) -> None:
    daily = (Window(3, DAY),)
    times = [await store.limits.acquire(slot(f"M{n}", *daily), NOW + n * 9 * HOUR) for n in range(12)]
    assert times == [NOW + n * 9 * HOUR for n in range(12)]


async def test_what_was_given_back_after_leaving_makes_room_for_others(store: Store) -> None:
    """A message that its destination deferred did not leave: others may, and it asks again."""
    for queue_id in ("A", "B"):
        assert await store.limits.acquire(slot(queue_id), NOW) == NOW
    assert await store.limits.acquire(slot("C"), NOW + 1) == NOW + STEP
    await store.limits.release("A", [0])
    assert await store.limits.acquire(slot("C"), NOW + 2) == NOW + 2
    assert await store.limits.acquire(slot("A"), NOW + 60) == NOW + STEP


async def test_what_is_kept_counts_beside_the_next_departure(opener: Opener) -> None:
    """An attempt that may have succeeded left, whatever the entry does next; so no window holds one too many."""
    store = await opener(NOW)
    await store.queue.enqueue(accepted("A"))
    assert await store.limits.acquire(slot("A"), NOW) == NOW
    await store.limits.commit("A", [0])
    assert await store.limits.acquire(slot("A"), NOW + 300) == NOW + 300
    assert await store.limits.acquire(slot("B"), NOW + 301) == NOW + STEP
    await store.limits.release("A", [0])
    await store.close()
    later = await opener(NOW + 400)
    assert await later.limits.acquire(slot("B"), NOW + 400) == NOW + 400
    assert await later.limits.acquire(slot("C"), NOW + 401) == NOW + STEP
    await later.close()


async def test_what_waits_is_not_kept(store: Store) -> None:
    await store.limits.reserve([slot("A"), slot("B")], [NOW + 10, NOW + 10])
    await store.limits.commit("A", [0])
    assert await store.limits.reserve([slot("C"), slot("D")], [NOW + 10, NOW + 10]) == [NOW + 10, NOW + 10 + STEP]


async def test_a_place_under_another_key_is_given_up(store: Store) -> None:
    """What goes by another provider uses nothing of the first one's quota."""
    one = (Window(1, HOUR),)
    await store.limits.reserve([slot("A", *one, key="provider:p")], [NOW])
    await store.limits.reserve([slot("A", *one, key="provider:q")], [NOW])
    assert await store.limits.acquire(slot("B", *one, key="provider:p"), NOW) == NOW
    assert await store.limits.acquire(slot("A", *one, key="provider:r"), NOW) == NOW
    assert await store.limits.acquire(slot("C", *one, key="provider:q"), NOW) == NOW


async def test_usage_counts_what_left_and_what_waits(store: Store) -> None:
    limits = windows(2, 3)
    key = "identity:a@acme.test"
    assert await store.limits.usage({key: limits}, NOW) == {key: Usage((0, 0), 0, NOW)}
    await store.limits.acquire(slot("A", *limits), NOW - 2 * HOUR)
    for queue_id in ("B", "C", "D"):
        await store.limits.acquire(slot(queue_id, *limits), NOW)
    found = await store.limits.usage({key: limits, "provider:none": limits}, NOW)
    assert found[key].left == (2, 3)
    assert found[key].waiting == 1
    assert found[key].free_at == pytest.approx(NOW + DAY, abs=0.01)
    assert found["provider:none"] == Usage((0, 0), 0, NOW)

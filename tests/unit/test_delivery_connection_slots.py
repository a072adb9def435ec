"""Places are bounded, fair, and never lost."""

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.delivery.connection_slots import ConnectionSlots


async def work(slots: ConnectionSlots, lane: str, log: list[str], *, most: int = 2, total: int = 3) -> None:
    async with slots.slot(lane, {lane: most}, total):
        log.append(lane)
        await asyncio.sleep(0)


async def test_a_full_lane_does_not_hold_another_up() -> None:
    slots, log = ConnectionSlots(), list[str]()
    async with (
        slots.slot("a", {"a": 1}, 9),
        asyncio.TaskGroup() as group,
    ):
        waiting = [group.create_task(work(slots, "a", log, most=1, total=9)) for _ in range(3)]
        await work(slots, "b", log, most=1, total=9)
        assert log == ["b"]
        for task in waiting:
            task.cancel()
    assert slots.used == 0


async def test_the_total_goes_round_the_lanes() -> None:
    slots, log = ConnectionSlots(), list[str]()
    async with asyncio.TaskGroup() as group:
        for lane in ("a", "a", "a", "a", "a", "a", "b", "c"):
            group.create_task(work(slots, lane, log, most=9, total=1))
    assert log == ["a", "a", "b", "c", "a", "a", "a", "a"]


async def test_a_place_granted_to_a_cancelled_task_goes_on() -> None:
    slots, log = ConnectionSlots(), list[str]()
    holding = asyncio.Event()

    async def hold() -> None:
        async with slots.slot("a", {"a": 1}, 1):
            await holding.wait()

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    first = asyncio.create_task(work(slots, "a", log, most=1, total=1))
    second = asyncio.create_task(work(slots, "a", log, most=1, total=1))
    await asyncio.sleep(0)
    holding.set()
    await asyncio.sleep(0)
    assert holder.done()
    assert not first.done()
    first.cancel()
    await second
    assert first.cancelled()
    assert log == ["a"]
    assert slots.used == 0


async def test_a_site_limits_its_lanes_together_and_holds_no_other_up() -> None:
    slots, inside, most_inside = ConnectionSlots(), 0, 0

    async def one(lane: str) -> None:
        nonlocal inside, most_inside
        async with slots.slot(lane, {lane: 2, "site s": 3}, 100):
            inside += 1
            most_inside = max(inside, most_inside)
            await asyncio.sleep(0)
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(one(f"mx:d{number % 20}.test"))
        await asyncio.sleep(0)
        assert inside == 3
        log: list[str] = []
        await work(slots, "other", log, total=100)
        assert log == ["other"]
    assert most_inside == 3


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.booleans()), max_size=40),
    st.integers(1, 3),
    st.integers(1, 5),
)
def test_bounds_hold_and_everybody_gets_a_turn(jobs: list[tuple[str, int, bool]], most: int, total: int) -> None:
    async def run() -> None:
        slots, inside, done = ConnectionSlots(), Counter[str](), Counter[str]()

        async def one(lane: str, rounds: int) -> None:
            site = f"site {lane in 'ab'}"
            async with slots.slot(lane, {lane: most, site: most + 1, "all": 4}, total):
                inside[lane] += 1
                assert inside[lane] <= most
                assert max(inside["a"] + inside["b"], inside["c"] + inside["d"]) <= most + 1
                assert inside.total() <= 4
                assert inside.total() <= total == max(total, slots.used)
                try:
                    for _ in range(rounds):
                        await asyncio.sleep(0)
                finally:
                    inside[lane] -= 1
                done[lane] += 1

        tasks = [asyncio.create_task(one(lane, rounds)) for lane, rounds, _ in jobs]
        await asyncio.sleep(0)
        for task, (_, _, cancel) in zip(tasks, jobs, strict=True):
            if cancel:
                task.cancel()
            await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        assert all(task.cancelled() <= cancel for task, (_, _, cancel) in zip(tasks, jobs, strict=True))
        assert done.total() == sum(result is None for result in results)
        assert slots.used == 0
        assert not any((slots._waiting, slots._ready, slots._blocked, slots._used))

    asyncio.run(run())

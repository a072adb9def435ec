"""Slots are bounded, fair, and never lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.delivery.connection_limit import ConnectionLimit
from relay.delivery.connection_slots import ConnectionSlots
from relay.limits.priority import Flow, Priority

ANYBODY = Flow("anybody")


def limits_of(total: int, **most: int) -> dict[str, ConnectionLimit]:
    """Return these limits, and the total."""
    return {key: ConnectionLimit(one) for key, one in most.items()} | {"total": ConnectionLimit(total)}


@asynccontextmanager
async def slot(
    slots: ConnectionSlots, lane: str, limits: Mapping[str, ConnectionLimit], flow: Flow
) -> AsyncIterator[None]:
    await slots.acquire(lane, limits, flow)
    try:
        yield
    finally:
        slots.release(limits, flow)


async def work(slots: ConnectionSlots, lane: str, log: list[str], *, most: int = 2, total: int = 3) -> None:
    async with slot(slots, lane, limits_of(total, **{lane: most}), ANYBODY):
        log.append(lane)
        await asyncio.sleep(0)


async def test_a_full_lane_does_not_hold_another_up() -> None:
    slots, log = ConnectionSlots(), list[str]()
    async with (
        slot(slots, "a", limits_of(9, a=1), ANYBODY),
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
        async with slot(slots, "a", limits_of(1, a=1), ANYBODY):
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
        async with slot(slots, lane, limits_of(100, **{lane: 2, "site s": 3}), ANYBODY):
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


class Holders:
    """Jobs that hold their slot until they are ended."""

    def __init__(self) -> None:
        self.slots = ConnectionSlots()
        self.holding: list[tuple[Flow, asyncio.Event]] = []
        """Flows and ends of the jobs that hold a slot, the first one first."""
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, flow: Flow, count: int, limits: dict[str, ConnectionLimit]) -> None:
        """Start jobs, each in a lane of its own."""
        lanes = [f"lane {len(self.tasks) + number}" for number in range(count)]
        self.tasks += [asyncio.create_task(self._hold(flow, lane, limits)) for lane in lanes]
        await asyncio.sleep(0)

    async def _hold(self, flow: Flow, lane: str, limits: dict[str, ConnectionLimit]) -> None:
        async with slot(self.slots, lane, limits, flow):
            end = asyncio.Event()
            self.holding.append((flow, end))
            await end.wait()

    @property
    def held(self) -> list[Flow]:
        return [flow for flow, _ in self.holding]

    async def end(self, place: int = 0) -> None:
        """End the job that has held its slot for longest, or the one in this place."""
        _, end = self.holding.pop(place)
        end.set()
        for _ in range(3):
            await asyncio.sleep(0)

    async def end_all(self) -> None:
        while self.holding:
            await self.end()
        await asyncio.gather(*self.tasks)


async def test_one_principal_alone_takes_all_and_gives_back_to_those_that_come() -> None:
    holders = Holders()
    await holders.start(Flow("bulk"), 30, limits_of(10))
    assert holders.held == [Flow("bulk")] * 10
    await holders.start(Flow("single"), 10, limits_of(10))
    for _ in range(5):
        await holders.end()
    assert Counter(holders.held) == {Flow("bulk"): 5, Flow("single"): 5}
    await holders.end_all()
    assert not holders.slots._uses


async def test_a_principal_without_a_connection_gets_one_of_the_reserve() -> None:
    holders = Holders()
    limits = {"total": ConnectionLimit(10, reserve=2)}
    for name in ("hangs", "first", "second", "third"):
        await holders.start(Flow(name), 12, limits)
    assert Counter(holders.held) == {Flow("hangs"): 10, Flow("first"): 1, Flow("second"): 1}
    await holders.end_all()


async def test_a_bounded_share_leaves_room_for_the_next_principals() -> None:
    holders = Holders()
    limits = {"unproven": ConnectionLimit(90, reserve=2, factor=2.0)}
    for number in range(6):
        await holders.start(Flow(f"hangs {number}"), 90, limits)
    held = Counter(holders.held)
    assert (held[Flow("hangs 0")], held[Flow("hangs 1")]) == (60, 20)
    assert held[Flow("hangs 5")] >= 1
    await holders.end_all()


async def test_one_principal_alone_leaves_a_connection_of_a_site_to_the_others() -> None:
    holders = Holders()
    limits = {"site s": ConnectionLimit(5, share=4), "total": ConnectionLimit(100)}
    await holders.start(Flow("hangs", Priority.HIGH), 12, limits)
    await holders.start(Flow("hangs", Priority.CAMPAIGN), 12, limits)
    assert Counter(one.principal for one in holders.held) == {"hangs": 4}
    await holders.start(Flow("single"), 2, limits)
    assert Counter(one.principal for one in holders.held) == {"hangs": 4, "single": 1}
    await holders.end_all()


async def test_priorities_of_a_principal_hold_slots_by_weight() -> None:
    holders = Holders()
    flows = [Flow("a\t01", priority) for priority in Priority]
    await holders.start(Flow("b"), 14, limits_of(14))
    for flow in flows:
        await holders.start(flow, 20, limits_of(14))
    for _ in range(14):
        await holders.end()
    assert [Counter(holders.held)[flow] for flow in flows] == [8, 4, 2]
    await holders.end_all()


async def test_one_principal_in_many_lanes_has_the_share_of_one_in_a_single_lane() -> None:
    holders = Holders()
    site = {"site s": ConnectionLimit(4), "total": ConnectionLimit(100)}
    await holders.start(Flow("many"), 40, site)
    await holders.start(Flow("one"), 4, site)
    await holders.start(Flow("elsewhere"), 1, limits_of(100))
    assert holders.held[-1] == Flow("elsewhere")
    await holders.end()
    await holders.end()
    assert Counter(holders.held) == {Flow("many"): 2, Flow("one"): 2, Flow("elsewhere"): 1}
    await holders.end_all()


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), min_size=1, max_size=12),
    st.lists(st.integers(0, 99), max_size=60),
    st.integers(1, 8),
)
def test_no_principal_gets_a_slot_while_one_with_fewer_waits(
    arrivals: list[tuple[int, int]], ends: list[int], total: int
) -> None:
    async def run() -> None:
        holders, left = Holders(), Counter[Flow]()

        def check(before: Counter[Flow]) -> None:
            held = Counter(holders.held)
            assert held.total() == min(total, left.total())
            for flow in held:
                waiting = [held[other] for other in left if left[other] > held[other]]
                assert held[flow] <= max(before[flow], min(waiting, default=total) + 1)

        for number, count in arrivals:
            flow, before = Flow(f"party {number}"), Counter(holders.held)
            left[flow] += count
            await holders.start(flow, count, limits_of(total))
            check(before)
        for end in ends[: left.total()]:
            place = end % len(holders.held)
            before = Counter(holders.held)
            left[holders.held[place]] -= 1
            await holders.end(place)
            check(before)
        await holders.end_all()
        assert not any((holders.slots._waiting, holders.slots._blocked, holders.slots._uses, holders.slots.used))

    asyncio.run(run())


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
            limits = limits_of(total, **{lane: most, site: most + 1, "all": 4})
            async with slot(slots, lane, limits, Flow(lane)):
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
        assert not any((slots._waiting, slots._blocked, slots._uses))

    asyncio.run(run())

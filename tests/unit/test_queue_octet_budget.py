"""The budget of octets: who is beyond its share waits, and delays nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from relay.limits.priority import Flow, Priority
from relay.queue.octet_budget import OctetBudget

MIB = 1 << 20


class Holders:
    """Tasks that hold octets until they are ended."""

    def __init__(self, total: int) -> None:
        self.budget = OctetBudget(total)
        self.granted: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def hold(self, name: str, octets: int, flow: Flow, lane: str) -> None:
        """Start to hold, and let the budget decide."""
        self.tasks[name] = asyncio.create_task(self._hold(name, octets, flow, lane))
        await settled()

    async def end(self, *names: str) -> None:
        for name in names:
            self.tasks.pop(name).cancel()
        await settled()

    async def _hold(self, name: str, octets: int, flow: Flow, lane: str) -> None:
        async with self.budget.hold(octets, flow, {flow.principal: 1.0, lane: 0.5}):
            self.granted.append(name)
            await asyncio.Event().wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def holders(total: int) -> AsyncIterator[Holders]:
    made = Holders(total)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(lambda: asyncio.gather(*made.tasks.values(), return_exceptions=True))
        stack.callback(lambda: [task.cancel() for task in made.tasks.values()])
        yield made


async def test_a_principal_beyond_its_share_waits_and_another_one_does_not() -> None:
    async with holders(120 * MIB) as made:
        for number in range(5):
            await made.hold(f"hog{number}", 20 * MIB, Flow("hog"), f"lane{number}")
        assert made.granted == ["hog0", "hog1", "hog2"]
        await made.hold("single", 20 * MIB, Flow("other"), "lane9")
        assert made.granted[-1] == "single"
        await made.end("hog0", "single")
        assert made.granted[-1] == "hog3"


async def test_a_hanging_lane_does_not_hold_up_the_other_lanes_of_its_principal() -> None:
    async with holders(120 * MIB) as made:
        for number in range(4):
            await made.hold(f"hanging{number}", 20 * MIB, Flow("a"), "hanging")
        await made.hold("live", 20 * MIB, Flow("a"), "live")
        assert made.granted == ["hanging0", "hanging1", "live"]


async def test_what_becomes_free_goes_to_the_flows_in_turn() -> None:
    async with holders(20 * MIB) as made:
        await made.hold("first", 20 * MIB, Flow("a"), "x")
        for name, flow in (("a", Flow("a")), ("b", Flow("b")), ("b high", Flow("b", Priority.HIGH))):
            await made.hold(name, 20 * MIB, flow, name)
        for name in ("first", "b high", "b", "a"):
            assert made.granted[-1] == name
            await made.end(name)
        assert made.budget.shares.used == 0


async def test_one_that_is_cancelled_while_it_waits_takes_nothing() -> None:
    async with holders(20 * MIB) as made:
        await made.hold("first", 20 * MIB, Flow("a"), "x")
        await made.hold("second", 20 * MIB, Flow("a"), "x")
        await made.end("second")
        await made.end("first")
        assert made.granted == ["first"]
        assert made.budget.shares.used == 0

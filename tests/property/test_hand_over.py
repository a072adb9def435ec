"""Hand-over takes nothing from others: at that moment a claim takes entries of this message, and no others."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.limits.priority import Flow, Priority
from relay.queue import in_flight, runner
from relay.queue.entry import State
from relay.queue.lanes import INITIAL_CONCURRENCY
from relay.queue.message import ClaimedBatch, NewMessage
from relay.queue.outcome import Outcome
from relay.queue.ports import DeliveryJob
from relay.storage import claim, queue_writes
from relay.storage.claim_source import ClaimSource
from relay.storage.database import Connection
from tests.servers.waiting import PATIENCE
from tests.unit.queue_harness import BUSY, OK, Harness, running

Key = tuple[str, int]

TAKE = "UPDATE entries SET state = 'active', lease = ? WHERE queue_id = ? AND number = ?"

FLOWS = [
    Flow("credential:a", Priority.HIGH),
    Flow("credential:a\t01", Priority.CAMPAIGN),
    Flow("credential:b", Priority.NORMAL),
    Flow("credential:b", Priority.CAMPAIGN),
    Flow(),
]


@dataclass(frozen=True)
class New:
    """A message is accepted. `waits` says whether the runner has come to rest before the next step."""

    domains: tuple[str, ...]
    flow: Flow
    waits: bool


@dataclass(frozen=True)
class End:
    """An attempt ends."""

    which: int
    outcome: Outcome


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    seconds: float


DOMAINS = st.lists(st.sampled_from(["x.test", "y.test"]), min_size=1, max_size=3).map(tuple)

NEW = st.builds(New, DOMAINS, st.sampled_from(FLOWS), st.booleans())

STEPS = st.lists(
    NEW | NEW | st.builds(End, st.integers(0, 10), st.sampled_from([OK, OK, BUSY])) | st.builds(Pass, st.just(400.0)),
    min_size=4,
    max_size=25,
)


class HeldDelivery:
    """Keeps jobs until the test ends them."""

    def __init__(self) -> None:
        self.held: list[tuple[str, DeliveryJob, asyncio.Future[Outcome]]] = []
        self.is_open = False

    async def deliver(self, lane: str, job: DeliveryJob) -> Sequence[Outcome]:
        if self.is_open:
            return [OK] * len(job.entries)
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.held.append((lane, job, answer))
        return [await answer] * len(job.entries)


class Checked:
    """A runner. Whatever it hands over is enqueued as waiting, and claimed within its limits at this moment."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.delivery = HeldDelivery()
        harness.delivery.real = self.delivery
        self.serial = 0
        self.handed_over = 0
        self._enqueue = harness.store.queue.enqueue

    def runner(self) -> Any:
        return self.harness.runner

    @property
    def table(self) -> in_flight.AttemptTable:
        table: in_flight.AttemptTable = self.harness.runner._attempts
        return table

    async def enqueue(self, new: NewMessage) -> bool:
        """Store a message as `QueueStore.enqueue` does, by way of a claim."""
        active = {(one.queue_id, one.number) for one in new.entries if one.state is State.ACTIVE}
        if not active:
            return bool(await self._enqueue(new))
        self.handed_over += 1
        taken = await self.harness.store.queue._database.write(self._claimed_instead(new, active))
        assert {queue_id for queue_id, _ in taken} == {new.message.queue_id}, "a claim would have taken others, or none"
        if len({one.lane for one in new.entries}) == 1:
            assert taken == active
        return True

    def _claimed_instead(self, new: NewMessage, active: set[Key]) -> Callable[[Connection], set[Key]]:
        """Store a message whose entries wait, claim, and return what was claimed. Then have its entries as given.

        Of several lanes of one message a claim may take others first, within the share of the party.
        """
        store, limits = self.harness.store.queue, self._limits_before(new)
        waiting = replace(new, entries=tuple(replace(one, state=State.WAITING) for one in new.entries))
        insert = queue_writes.enqueue(store._lanes, [waiting], queue_writes.NewLeases({}))
        claim_due = claim.claim(
            store._lanes,
            self.harness.now,
            limits,
            lambda raw: ClaimSource(raw, store.boot, store._unreadable, store._recent),
        )

        def operation(raw: Connection) -> set[Key]:
            insert(raw)
            taken = {(one.queue_id, one.number) for batch in claim_due(raw) for one in batch.entries}
            raw.executemany(claim.RELEASE, [(*key, store.boot) for key in taken])
            raw.executemany(TAKE, [(store.boot, *key) for key in active])
            store._lanes.mark_stale()
            return taken

        return operation

    def _limits_before(self, new: NewMessage) -> Any:
        """Return the limits of a claim without the entries that were just reserved."""
        by_lane: dict[str, list[Any]] = {}
        for one in new.entries:
            if one.state is State.ACTIVE:
                by_lane.setdefault(one.lane, []).append(one)
        batches = [ClaimedBatch(new.message, new.content, tuple(some)) for some in by_lane.values()]
        for batch in batches:
            self.table.release(batch)
        limits = self.runner()._limits(self.harness.now)
        for batch in batches:
            self.table.reserve(batch)
        return limits

    async def rest(self) -> None:
        """Wait until all attempts are at the server, and the runner has found nothing to claim."""
        async with asyncio.timeout(PATIENCE):
            while len(self.table) > len(self.delivery.held) or not self._rests:
                await asyncio.sleep(0.0005)

    @property
    def _rests(self) -> bool:
        return self.table.entries_left <= 0 or self.runner()._hand_over._idle is not None

    async def step(self, step: New | End | Pass) -> None:
        match step:
            case New(domains, flow, waits):
                self.serial += 1
                given = self.harness.new(
                    *(f"u@{domain}" for domain in domains), queue_id=f"{self.serial:014}", flow=flow
                )
                entries = tuple(replace(one, next_attempt_at=self.harness.now) for one in given.entries)
                await self.runner().enqueue(replace(given, entries=entries))
                if waits:
                    await self.rest()
            case End(which, outcome) if self.delivery.held:
                *_, answer = self.delivery.held.pop(which % len(self.delivery.held))
                answer.set_result(outcome)
                await self.rest()
            case Pass(seconds):
                self.harness.now += seconds
            case End():
                pass

    def let_all_go(self) -> None:
        self.delivery.is_open = True
        for *_, answer in self.delivery.held:
            answer.set_result(OK)
        self.delivery.held.clear()


@pytest.fixture(scope="module")
def small() -> Any:
    """Limits that few messages reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_flight, "MAX_ENTRIES", 8)
        patch.setattr(runner, "MAX_ENTRIES", 8)
        patch.setattr(in_flight, "MAX_RESERVED", 4)
        patch.setattr(in_flight, "RESERVED", 1)
        yield


async def _run(steps: Sequence[New | End | Pass], folder: Path) -> int:
    async with running(folder) as harness:
        checked = Checked(harness)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(harness.store.queue, "enqueue", checked.enqueue)
            await checked.rest()
            for step in steps:
                await checked.step(step)
            checked.let_all_go()
            harness.now += 86400
            harness.runner.wake()
            async with asyncio.timeout(PATIENCE):
                while {one.state for one in await harness.entries()} - {State.DELIVERED}:
                    harness.runner.wake()
                    await asyncio.sleep(0.002)
        return checked.handed_over


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
@pytest.mark.usefixtures("small")
def test_a_hand_over_takes_what_a_claim_would_take_and_overtakes_nothing(steps: list[New | End | Pass]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(_run(steps, Path(folder)))


@pytest.mark.usefixtures("small")
def test_first_messages_are_handed_over_and_those_behind_full_lanes_are_not() -> None:
    some = [New(("x.test",), flow, waits=True) for _ in range(2) for flow in (FLOWS[0], FLOWS[2], Flow())]
    with TemporaryDirectory() as folder:
        assert asyncio.run(_run(some, Path(folder))) == INITIAL_CONCURRENCY == len(some) - 1


async def _flooded(folder: Path) -> list[str]:
    """Return the parties in the order in which their mail left, while one floods a lane and others send a mail each."""
    left: list[str] = []
    async with running(folder) as harness:
        checked = Checked(harness)
        await checked.rest()
        flood, singles = Flow("credential:flood", Priority.HIGH), [Flow(f"identity:{one}") for one in "abc"]

        async def send(flow: Flow) -> None:
            await checked.step(New(("x.test",), flow, waits=False))

        for turn in range(80):
            for _ in range(3):
                await send(flood)
            if turn % 10 == 5:
                left.append("arrives")
                await send(singles[turn // 10 % 3])
            await checked.rest()
            _, job, answer = checked.delivery.held.pop(0)
            left.append(job.entries[0].principal)
            answer.set_result(OK)
            await checked.rest()
        checked.let_all_go()
    return left


@pytest.mark.usefixtures("small")
def test_mail_of_others_is_next_in_a_lane_that_one_party_floods() -> None:
    with TemporaryDirectory() as folder:
        left = asyncio.run(_flooded(Path(folder)))
    waits = Counter[int]()
    for position, one in enumerate(left):
        if one == "arrives":
            behind = left[position + 1 :]
            waits[next(number for number, party in enumerate(behind) if party.startswith("identity:"))] += 1
    # What is in flight already leaves first: the flood holds half of the eight entries.
    assert max(waits) <= 4
    assert sum(waits.values()) == 8

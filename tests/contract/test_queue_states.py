"""The queue against a model, over any order of operations and restarts: nothing lost, nothing handed out twice."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import State, move
from relay.queue.hand_over import with_active
from relay.queue.message import ClaimedBatch
from relay.queue.operator_actions import delete, hold, release
from relay.queue.ports import EntryQuery
from relay.storage.store import Store
from tests.contract.conftest import open_at
from tests.contract.store_machine import StoreMachine
from tests.contract.values import NOW, ROOMY, accepted, settle

DOMAINS = ("a.test", "b.test", "c.test")


@dataclass
class Known:
    lane: str
    due: float
    state: State = State.WAITING


@dataclass
class Model:
    now: float = NOW
    entries: dict[tuple[str, int], Known] = field(default_factory=dict)
    leased: list[ClaimedBatch] = field(default_factory=list)

    def in_state(self, state: State) -> dict[tuple[str, int], Known]:
        return {key: known for key, known in self.entries.items() if known.state is state}


class QueueMachine(StoreMachine):
    """Each rule does to the store what it does to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.serial = 0

    async def open(self) -> Store:
        return await open_at(self.folder, self.url, self.model.now)

    @initialize()
    def start(self) -> None:
        self.store = self.runner.run(self.open())

    @rule(domains=st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=4), delay=st.integers(-2, 5))
    def enqueue(self, domains: list[str], delay: int) -> None:
        self.serial += 1
        due = self.model.now + delay
        one = accepted(f"M{self.serial:05}", *(f"u@{domain}" for domain in domains), due=due)
        self.runner.run(self.store.queue.enqueue(one))
        for entry in one.entries:
            self.model.entries[entry.queue_id, entry.number] = Known(entry.lane, due)

    @rule(domain=st.sampled_from(DOMAINS), recipients=st.integers(1, 3))
    def hand_over(self, domain: str, recipients: int) -> None:
        """Enqueue a message whose entries are active from the beginning."""
        self.serial += 1
        new = accepted(f"M{self.serial:05}", *(f"u{number}@{domain}" for number in range(recipients)))
        active = tuple(move(one, State.ACTIVE) for one in new.entries)
        batch = ClaimedBatch(new.message, new.content, active)
        self.runner.run(self.store.queue.enqueue(with_active(new, [batch])))
        self.model.leased.append(batch)
        for entry in active:
            self.model.entries[entry.queue_id, entry.number] = Known(entry.lane, entry.next_attempt_at, State.ACTIVE)

    @rule(seconds=st.integers(-3, 6))
    def pass_time(self, seconds: int) -> None:
        self.model.now += seconds

    @rule(entries=st.integers(0, 6), per_lane=st.integers(0, 3), closed=st.sets(st.sampled_from(DOMAINS)))
    def claim(self, entries: int, per_lane: int, closed: set[str]) -> None:
        room = ClaimLimits(entries, 1 << 20, per_lane, {f"mx:{domain}": 0 for domain in closed})
        claimed = self.runner.run(self.store.queue.claim(self.model.now, room))
        waiting = self.model.in_state(State.WAITING)
        due = {key: known for key, known in waiting.items() if known.due <= self.model.now}
        by_lane: dict[str, list[list[float]]] = {}
        for one in claimed:
            assert len({entry.lane for entry in one.entries}) == 1
            together = by_lane.setdefault(one.entries[0].lane, [])
            together.append([])
            for entry in one.entries:
                known = due.pop((entry.queue_id, entry.number))
                assert entry.state is State.ACTIVE
                assert (entry.lane, entry.next_attempt_at) == (known.lane, known.due)
                known.state = State.ACTIVE
                together[-1].append(known.due)
        self.model.leased.extend(claimed)
        for lane, messages in by_lane.items():  # A message's recipients may go beyond the room, together with it.
            assert len(messages) <= room.lanes.get(lane, per_lane)
        assert sum(map(len, by_lane.values())) <= entries
        taken = sum(len(message) for messages in by_lane.values() for message in messages)
        for known in due.values():  # What stayed had no room, and nothing younger of its lane went before it.
            gone = by_lane.get(known.lane, [])
            assert taken >= entries or sum(map(len, gone)) >= room.lanes.get(known.lane, per_lane)
            assert all(min(message) <= known.due for message in gone)

    @precondition(lambda self: self.model.leased)
    @rule(
        data=st.data(),
        state=st.sampled_from([State.DELIVERED, State.BOUNCED, State.DROPPED, State.WAITING]),
        delay=st.integers(0, 5),
    )
    def settle(self, data: st.DataObject, state: State, delay: int) -> None:
        one = self.model.leased.pop(data.draw(st.integers(0, len(self.model.leased) - 1)))
        due = self.model.now + delay
        self.runner.run(self.store.queue.apply([settle(one, state, self.model.now, due=due)]))
        for entry in one.entries:
            known = self.model.entries[entry.queue_id, entry.number]
            known.state, known.due = state, due

    @rule(domain=st.sampled_from(DOMAINS), action=st.sampled_from(["hold", "release", "delete"]))
    def operate(self, domain: str, action: str) -> None:
        change = {"hold": hold, "release": release(self.model.now), "delete": delete(self.model.now)}[action]
        changed = self.runner.run(self.store.queue.change(EntryQuery(lane=f"mx:{domain}"), change)).entries
        before = {
            "hold": (State.WAITING,),
            "release": (State.HELD,),
            "delete": (State.WAITING, State.HELD),
        }[action]
        lane = {key: known for key, known in self.model.entries.items() if known.lane == f"mx:{domain}"}
        expected = {key for key, known in lane.items() if known.state in before}
        assert {(entry.queue_id, entry.number) for _, entry in changed} == expected
        for _, entry in changed:
            known = self.model.entries[entry.queue_id, entry.number]
            known.state, known.due = entry.state, entry.next_attempt_at

    @rule()
    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(self.open())
        leased = self.model.in_state(State.ACTIVE)
        assert self.runner.run(self.store.queue.recover(self.model.now, 1e6)) == len(leased)
        for known in leased.values():
            known.state = State.WAITING
        self.model.leased.clear()

    @invariant()
    def next_due_is_right(self) -> None:
        if not hasattr(self, "store"):
            return
        for busy in ([], ["mx:a.test"]):
            waiting = [known.due for known in self.model.in_state(State.WAITING).values() if known.lane not in busy]
            assert self.runner.run(self.store.queue.next_due(busy)) == min(waiting, default=None)

    def teardown(self) -> None:
        try:
            entries = self.runner.run(self.store.queue.entries(EntryQuery(limit=10_000)))
            assert {(one.queue_id, one.number): one.state for _, one in entries} == {
                key: known.state for key, known in self.model.entries.items()
            }
            self.runner.run(self.store.queue.recover(self.model.now, 1e6))
            rest = self.runner.run(self.store.queue.claim(self.model.now + 1e6, ROOMY))
            waiting = self.model.in_state(State.WAITING)
            assert sorted((entry.queue_id, entry.number) for one in rest for entry in one.entries) == sorted(waiting)
        finally:
            self.runner.run(self.store.close())
            self.close()


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 15), ("postgres", 6)])
def test_a_queue_allows_only_the_moves_of_its_states(kind: str, examples: int, request: pytest.FixtureRequest) -> None:
    class Machine(QueueMachine):
        url = request.getfixturevalue("tables") if kind == "postgres" else ""

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            phases=[Phase.generate],  # Each step waits for the disk: making a failure smaller would take minutes.
        ),
    )

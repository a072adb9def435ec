"""Queue, leases and nodes against a plain model: accept, hand over, claim, deliver, die, come back, clock steps.

It holds at any time, in any order: an accepted recipient is in exactly one state; none is in the hands of two live
nodes; a final state stays; the audit balances. A server gets a second copy only where nobody could know of the first.
Nothing expires before its lifetime has truly passed. RELAY_MODEL_EXAMPLES sets how many stories are tried.
"""

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import State
from relay.queue.hand_over import with_active
from relay.queue.operator_actions import delete, flush, hold, release
from relay.queue.ports import EntryQuery
from tests.contract.queue_steps import QueueSteps
from tests.contract.queue_world import LIFETIME, OUTCOMES, Moment, Tracked, live
from tests.contract.values import accepted
from tests.servers.audit import audited

DOMAINS = ("a.test", "b.test", "c.test")

ROOM = ClaimLimits(entries=4, content_bytes=1 << 20, per_lane=2, lanes={})

DEATHS = st.sampled_from([*["never"] * 8, "before", "after"])

PICK = st.integers(0, 10**6)


class QueueModel(QueueSteps):
    """The rules by which hypothesis makes a story of steps."""

    @initialize()
    def start(self) -> None:
        """Hypothesis leaves out some rules in each story; without mail the others have nothing to do."""
        for node in self.nodes:
            self.run(node.start())
        for number in range(4):
            self.accept(number, list(DOMAINS[: 1 + number % 3]), set(), "never")

    # What applications, time and operators do

    @precondition(lambda self: self.is_any_up)
    @rule(
        node=PICK,
        domains=st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=3),
        handed_over=st.sets(st.sampled_from(DOMAINS)),
        dies=DEATHS,
    )
    def accept(self, node: int, domains: list[str], handed_over: set[str], dies: Moment) -> None:
        """Accept a message. Its entries in some lanes are handed over: they are active from the beginning."""
        taking, now = self.pick(node), self.world.now
        if dies != "before":
            new = accepted(self.world.new_id(now), *(f"u@{domain}" for domain in domains), due=now, at=now)
            entries = tuple(replace(one, expires_at=now + LIFETIME) for one in new.entries)
            new = replace(new, entries=entries)
            batches = self._handed_over(new, handed_over)
            if batches:
                self.run(taking.beat())
            self.run(taking.store.queue.enqueue(with_active(new, batches)))
            for one in entries:
                self.world.entries[one.queue_id, one.number] = Tracked(one.lane, self.world.steady)
            for claimed in batches:
                self._take(taking, claimed)
        if dies != "never":
            self._die(taking)

    @rule(seconds=st.sampled_from([1.0, 30.0, 600.0, 7200.0, 100_000.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.steady += seconds

    @precondition(lambda self: self.is_any_up)
    @rule(seconds=st.sampled_from([-400_000.0, -7200.0, -60.0, 60.0, 7200.0, 400_000.0]))
    def step_clock(self, seconds: float) -> None:
        """All clocks are set, and each node sees it at its next check."""
        self.world.offset += seconds
        for node in live(self.nodes):
            self.run(node.check_clock())

    @precondition(lambda self: self.is_any_up)
    @rule(node=PICK, domain=st.sampled_from(DOMAINS), action=st.sampled_from(["hold", "release", "flush", "delete"]))
    def operate(self, node: int, domain: str, action: str) -> None:
        now = self.world.now
        change = {"hold": hold, "release": release(now), "flush": flush(now), "delete": delete(now)}[action]
        changed = self.run(self.pick(node).store.queue.change(EntryQuery(lane=f"mx:{domain}"), change)).entries
        for _, entry in changed:
            tracked = self._known((entry.queue_id, entry.number), entry.lane)
            assert tracked.final is None
            assert tracked.held_by is None or tracked.held_by.is_void
            tracked.held_by = None
            tracked.final = State.DROPPED if action == "delete" else None

    # What a node does

    @precondition(lambda self: self.is_any_up)
    @rule(node=PICK, dies=DEATHS)
    def claim(self, node: int, dies: Moment) -> None:
        claiming = self.pick(node)
        if dies == "before":
            self._die(claiming)
            return
        self.run(claiming.beat())
        self.run(claiming.check_clock())
        claimed = self.run(claiming.store.queue.claim(self.world.now, ROOM))
        for one in claimed:
            assert not one.damage, one.damage
            for entry in one.entries:
                tracked = self._known((entry.queue_id, entry.number), entry.lane)
                assert tracked.final is None, "an entry in a final state was claimed"
                assert tracked.held_by is None or tracked.held_by.is_void, "a live node has it in hand"
                assert entry.next_attempt_at <= self.world.now
            self._take(claiming, one)
        if dies == "after":
            self._die(claiming)

    @precondition(lambda self: any(not batch.answer for node in live(self.nodes) for batch in node.hands))
    @rule(place=PICK, answer=st.sampled_from(["taken", "taken", *OUTCOMES]), dies=DEATHS, noted=st.booleans())
    def deliver(self, place: int, answer: str, dies: Moment, noted: bool) -> None:
        """The server answers. The node may die before, or after it; then the journal has its record, or has it not."""
        found = [(node, batch) for node in live(self.nodes) for batch in node.hands if not batch.answer]
        self._answer(*found[place % len(found)], answer, dies, noted=noted)

    @precondition(lambda self: any(batch.answer for node in live(self.nodes) for batch in node.hands))
    @rule(place=PICK, dies=DEATHS)
    def settle(self, place: int, dies: Moment) -> None:
        found = [(node, batch) for node in live(self.nodes) for batch in node.hands if batch.answer]
        self._settle(*found[place % len(found)], dies)

    @precondition(lambda self: self.is_any_up)
    @rule(node=PICK, answers=st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=4, max_size=4), dies=st.booleans())
    def work(self, node: int, answers: list[str], dies: bool) -> None:
        """One round of a runner: claim, deliver, settle. The node may die with the last answer noted, and unsettled."""
        working = self.pick(node)
        self.claim(node, "never")
        while working.hands and answers:
            batch = working.hands[-1]
            if not batch.answer:
                self._answer(working, batch, answers.pop(), "never", noted=True)
            if dies and not answers:
                self._die(working)
                return
            self._settle(working, batch, "never")

    # Death, return, take-over

    @precondition(lambda self: self.is_any_up)
    @rule(node=PICK)
    def die(self, node: int) -> None:
        self._die(self.pick(node))

    @precondition(lambda self: len(live(self.nodes)) < len(self.nodes))
    @rule(place=PICK)
    def come_back(self, place: int) -> None:
        down = [node for node in self.nodes if not node.is_up]
        node = down[place % len(down)]
        records = self.run(node.start())
        known = {(record.queue_id, number) for record in records for number in record.numbers}
        left, node.left = node.left, []
        states = {key: (entry, state) for key, entry, state in self._stored(node)}
        for batch in left:
            for key in batch.keys:
                self._recovered(key, batch, states.get(key), noted=key in known)

    @precondition(lambda self: self.size > 1 and self.is_any_up)
    @rule(lost=PICK, by=PICK)
    def take_over(self, lost: int, by: int) -> None:
        """The lease of a node ends, dead or only slow; another one returns its entries to the queue."""
        node, other = self.nodes[lost % self.size], self.pick(by)
        if node is other:
            return
        self.run(node.lose_lease())
        self.run(other.beat())
        for batch in (*node.hands, *node.left):
            if not batch.is_void:
                batch.is_void = True
                # A server that took it, or takes it yet from a node that only seems dead, gets another copy.
                self._excuse(batch)

    # What holds at any time

    @invariant()
    def every_recipient_is_in_one_state(self) -> None:
        if not live(self.nodes):
            return
        for key, entry, state in self._stored(self.pick(0)):
            tracked = self._known(key, entry.lane)
            assert (state if entry.is_final else None) is tracked.final, (key, state, tracked)
            if tracked.held_by is not None and not tracked.held_by.is_void:
                assert state is State.ACTIVE, (key, state)
            if state is State.WAITING:
                assert entry.expires_at <= max(self.world.now, entry.release_at) + LIFETIME + 1
            assert tracked.copies <= 1 + tracked.excused, (key, tracked)

    def teardown(self) -> None:
        try:
            self._drain()
        finally:
            for node in live(self.nodes):
                self._die(node)
            self.close()

    def _drain(self) -> None:
        """Bring all nodes back, deliver the rest, and balance the books."""
        if not hasattr(self.nodes[0], "store"):
            return
        while len(live(self.nodes)) < len(self.nodes):
            self.come_back(0)
        self._empty_hands()  # Some answers defer, and what they defer is due below.
        self.world.steady += 10.0 * 86400
        for domain in (*DOMAINS, "acme.test"):
            self.operate(0, domain, "release")
        for _ in range(1000):
            for node in range(self.size):
                self.claim(node, "never")
            if not any(node.hands for node in self.nodes):
                break
            self._empty_hands()

        self.every_recipient_is_in_one_state()
        stored = {key: state for key, _, state in self._stored(self.nodes[0])}
        assert stored.keys() == self.world.entries.keys(), "an accepted recipient is gone"
        assert set(stored.values()) <= {State.DELIVERED, State.BOUNCED, State.DROPPED}
        books = self.run(audited(self.nodes[0].store.audits))
        assert books.is_balanced, books.leaks
        assert [node.troubles for node in self.nodes if node.troubles] == []

    def _empty_hands(self) -> None:
        """Deliver what has no answer yet, and settle all batches in hand."""
        while any(not batch.answer for node in self.nodes for batch in node.hands):
            self.deliver(0, "taken", "never", noted=True)
        while any(node.hands for node in self.nodes):
            self.settle(0, "never")


EXAMPLES = int(os.environ.get("RELAY_MODEL_EXAMPLES", "0"))


@pytest.mark.parametrize(("kind", "examples", "steps"), [("sqlite", 10, 50), ("postgres", 3, 50)])
def test_a_queue_agrees_with_its_model(kind: str, examples: int, steps: int, request: pytest.FixtureRequest) -> None:
    class Model(QueueModel):
        url = request.getfixturevalue("tables") if kind == "postgres" else ""
        size = 3 if kind == "postgres" else 1

    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=EXAMPLES or examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # Each step waits for the disk: making a failure smaller would take minutes.
        ),
    )

"""The steps of nodes and batches beside a plain model of the queue; the test chooses which one comes next."""

from typing import Any

from relay.queue.entry import Entry, State, move
from relay.queue.message import ClaimedBatch, NewMessage
from relay.queue.ports import EntryQuery
from tests.contract.queue_world import LIFETIME, OUTCOMES, Batch, Key, Moment, Node, Tracked, World, live
from tests.contract.store_machine import StoreMachine

EVERY = EntryQuery(states=tuple(State), limit=100_000)


class QueueSteps(StoreMachine):
    """One node on SQLite, or several on PostgreSQL."""

    size = 1

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.nodes = [Node(self.world, self.folder / str(one), self.url) for one in range(self.size)]

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @property
    def is_any_up(self) -> bool:
        return bool(live(self.nodes))

    def pick(self, place: int) -> Node:
        up = live(self.nodes)
        return up[place % len(up)]

    def tracked(self, batch: Batch) -> list[Tracked]:
        return [self.world.entries[key] for key in batch.keys]

    def _stored(self, node: Node) -> list[tuple[Key, Entry, State]]:
        found = self.run(node.store.queue.entries(EVERY))
        return [((entry.queue_id, entry.number), entry, entry.state) for _, entry in found]

    # Batches in hand

    def _handed_over(self, new: NewMessage, domains: set[str]) -> list[ClaimedBatch]:
        lanes = {f"mx:{domain}" for domain in domains}
        chosen: dict[str, list[Entry]] = {one.lane: [] for one in new.entries if one.lane in lanes}
        for one in new.entries:
            if one.lane in chosen:
                chosen[one.lane].append(move(one, State.ACTIVE))
        return [ClaimedBatch(new.message, new.content, tuple(entries)) for entries in chosen.values()]

    def _take(self, node: Node, claimed: ClaimedBatch) -> None:
        """Put a batch into the hands of a node."""
        batch = Batch(claimed, node.guard.offset())
        for entry in claimed.entries:
            self._known((entry.queue_id, entry.number), entry.lane).held_by = batch
        node.hands.append(batch)

    def _known(self, key: Key, lane: str) -> Tracked:
        """Return the entry in the model. Notifications enter it when they are seen first."""
        if key not in self.world.entries:
            assert lane == "mx:acme.test", f"{key} was never accepted"
            self.world.entries[key] = Tracked(lane, self.world.steady)
        return self.world.entries[key]

    def _answer(self, node: Node, batch: Batch, answer: str, dies: Moment, *, noted: bool) -> None:
        if dies == "before":
            self._die(node)
            return
        if answer in ("taken", "lost"):
            for tracked in self.tracked(batch):
                tracked.copies += 1
                tracked.excused += answer == "lost"
        batch.answer = answer
        if answer == "taken" and (noted or dies == "never"):
            node.record(batch)
        elif answer == "taken":
            self._excuse(batch)
        if dies == "after":
            self._die(node)

    def _excuse(self, batch: Batch) -> None:
        for tracked in self.tracked(batch):
            tracked.excused += 1

    # Settlements and ends

    def _settle(self, node: Node, batch: Batch, dies: Moment) -> None:
        if dies == "before":
            self._die(node)
            return
        self.run(node.check_clock())
        current, outcome, now = (
            node.guard.adjust_lifetime(batch.claimed, batch.offset, node.settler.schedule()),
            OUTCOMES[batch.answer],
            self.world.now,
        )
        classified = node.context.bounce_policy().classify_all(
            [outcome] * len(batch.keys), batch.claimed.entries[0].lane
        )
        plain = node.settler.settle_delivery(current, classified, now, now, {})
        settlement = plain or node.settler.settle(current, classified, now, now, {})
        (written,) = self.run(node.store.queue.apply([settlement]))
        for report in written.reports:
            for entry in report.entries:
                self._known((entry.queue_id, entry.number), entry.lane)
        if dies == "never":
            for queue_id, number in batch.keys:
                node.journal.forget(queue_id, [number])
        node.hands.remove(batch)
        kept = {(one.queue_id, one.number): one for one in written.entries}
        assert batch.is_void or len(kept) == len(batch.keys), "a settlement under a valid lease was not written"
        for key in batch.keys:
            self._settled(key, batch, kept.get(key))
        if dies == "after":
            self._die(node)

    def _settled(self, key: Key, batch: Batch, entry: Entry | None) -> None:
        tracked = self.world.entries[key]
        if entry is None:
            return
        assert tracked.held_by is batch, "a settlement was written for an entry that somebody else has"
        tracked.held_by = None
        if entry.is_final:
            self._ended(tracked, entry)
        assert entry.is_final or batch.answer not in ("taken", "refused")

    def _ended(self, tracked: Tracked, entry: Entry) -> None:
        assert tracked.final is None, "a final state changed"
        tracked.final = entry.state
        if entry.state is State.DELIVERED:
            assert tracked.copies, "delivered, and no server took it"
        if entry.reason.startswith("not delivered within"):
            assert self.world.steady - tracked.accepted_at >= LIFETIME - 1, "expired before its lifetime passed"

    # Death and return

    def _die(self, node: Node) -> None:
        self.run(node.die())

    def _recovered(self, key: Key, batch: Batch, found: tuple[Entry, State] | None, *, noted: bool) -> None:
        """Compare what a node had in hand with its state after the return: delivered if noted, else it waits."""
        tracked = self.world.entries[key]
        if tracked.held_by is not batch:
            return
        assert found is not None
        entry, state = found
        tracked.held_by = None
        if batch.is_void:
            assert state in (State.WAITING, State.HELD)
        elif noted:
            assert state is State.DELIVERED, "the journal had the delivery"
            self._ended(tracked, entry)
        else:
            assert (state, entry.uncertain) == (State.WAITING, True)

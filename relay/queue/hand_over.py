"""Hands new messages over to delivery without a claim, while no older entry of their lanes is due.

Such entries are stored as active, under the lease of this process, in the transaction that accepts the message. That
saves one update of each entry, one read of each content, and the claims that find nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from relay.mail.transaction import MAX_RECIPIENTS
from relay.queue.attempts import AttemptTable
from relay.queue.context import QueueContext
from relay.queue.entry import Entry, State, move
from relay.queue.lanes import LaneTable
from relay.queue.message import ClaimedBatch, NewMessage
from relay.queue.nodes import NodeConnections


@dataclass(frozen=True, slots=True)
class _Rest:
    """What the runner found before it began to wait: no entry is due, apart from those of some lanes."""

    full: Collection[str]
    """Lanes without capacity, in which entries may be due."""
    connections: NodeConnections
    """The connections of this node. In lanes of other nodes entries may be due."""

    def is_clear(self, lane: str) -> bool:
        """Whether no entry of the lane is due."""
        return lane not in self.full and self.connections.may_open(lane)


class HandOver:
    """Chooses the entries of new messages that need no claim.

    An empty claim does not prove that nothing is due: lanes, node or process may have had no capacity. The proof is the
    due time of the next entry, together with the lanes which it leaves out.
    """

    def __init__(self, context: QueueContext, lanes: LaneTable, attempts: AttemptTable) -> None:
        self._context = context
        self._lanes = lanes
        self._attempts = attempts
        self._rest: _Rest | None = None

    def begin_rest(self, full: Collection[str], connections: NodeConnections) -> None:
        """Begin to hand over: no entry is due outside the full lanes and the lanes of other nodes."""
        self._rest = _Rest(frozenset(full), connections)

    def end_rest(self) -> None:
        """Hand nothing over from now on: an entry may be due."""
        self._rest = None

    def may_be_due(self, lane: str) -> bool:
        """Whether an entry of the lane may be due, so that free capacity calls for a claim."""
        return self._rest is None or not self._rest.is_clear(lane)

    def reserve(self, accepted: NewMessage) -> Sequence[ClaimedBatch]:
        """Return the entries of a new message that need no claim, by lane, and count them as in flight."""
        if self._rest is None or not self._context.store.can_lease:
            return ()

        now = self._context.clock()
        by_lane: dict[str, list[Entry]] = {}
        for entry in accepted.entries:
            if entry.state is State.WAITING and entry.next_attempt_at <= now:
                by_lane.setdefault(entry.lane, []).append(entry)

        batches: list[ClaimedBatch] = []
        for lane, entries in by_lane.items():
            if self._fits(lane, entries, len(accepted.content), now):
                active = tuple(move(entry, State.ACTIVE) for entry in entries)
                batches.append(ClaimedBatch(accepted.message, accepted.content, active))
                self._attempts.reserve(batches[-1])
            else:
                # These entries wait from now on: later mail must not overtake them.
                self.end_rest()
        return batches

    def _fits(self, lane: str, entries: Sequence[Entry], size: int, now: float) -> bool:
        """Whether a claim with nothing else due would take these entries of one lane."""
        return (
            not self.may_be_due(lane)
            and len(entries) <= min(self._attempts.entries_left, MAX_RECIPIENTS)
            and size <= self._attempts.content_left
            and self._lanes.capacity_of(lane, now) > 0
        )


def with_active(accepted: NewMessage, batches: Sequence[ClaimedBatch]) -> NewMessage:
    """Return the message with the entries of the batches in their place."""
    active = {entry.number: entry for batch in batches for entry in batch.entries}
    if not active:
        return accepted
    return replace(accepted, entries=tuple(active.get(entry.number, entry) for entry in accepted.entries))

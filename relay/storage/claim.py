"""Claims of due entries under a lease, and leases of ended processes.

Operations for the writer: they run inside its transaction.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice

from relay.content_file import LARGE
from relay.limits.fair_order import FairOrder
from relay.limits.priority import Flow
from relay.queue.claim_limits import ClaimLimits, Holders, is_held
from relay.queue.entry import Entry, LaneFlow
from relay.queue.message import ClaimedBatch
from relay.queue.nodes import NodeConnections
from relay.storage import pauses, sites
from relay.storage.claim_source import ClaimSource
from relay.storage.database import Connection
from relay.storage.due_lanes import DueLanes
from relay.storage.integrity import Stored, Unreadable, batches, intact_message, read_stored
from relay.storage.rows import CLAIM_COLUMNS, OPEN, Row

LEFT = (
    f"SELECT {CLAIM_COLUMNS} FROM entries "  # noqa: S608  names of the schema
    "WHERE queue_id = ? AND number = ? AND state = 'active' AND lease != ?"
)

RELEASE = (
    "UPDATE entries SET state = 'waiting', lease = '' "
    "WHERE queue_id = ? AND number = ? AND state = 'active' AND lease = ?"
)

VOID = "UPDATE entries SET state = 'waiting', lease = '', uncertain = true WHERE state = 'active' AND lease != ?"

CLAMP = (
    "UPDATE entries SET next_attempt_at = CASE WHEN release_at > ?1 THEN release_at ELSE ?1 END "
    "WHERE state = 'waiting' AND next_attempt_at > ?1 AND next_attempt_at > release_at"
)

_LATEST = "CASE WHEN release_at > ?1 THEN release_at ELSE ?1 END + ?2"
"""The latest expiry of an entry: its lifetime from now, or from its release."""

LENGTHEN = (
    f"UPDATE entries SET expires_at = CASE WHEN expires_at + ?3 < {_LATEST} THEN expires_at + ?3 ELSE {_LATEST} END "  # noqa: S608
    f"WHERE {OPEN} AND expires_at < {_LATEST}"
)
"""The limit spares entries that were accepted since the step: their own times do not show it after other steps."""

SHORTEN = (
    f"UPDATE entries SET expires_at = {_LATEST} "  # noqa: S608
    f"WHERE {OPEN} AND expires_at > {_LATEST}"
)

_NEXT_ATTEMPT_AT = CLAIM_COLUMNS.split(", ").index("next_attempt_at")


class _Claim:
    """One claim in progress: the entries taken and the remaining limits."""

    def __init__(self, source: ClaimSource, now: float, room: ClaimLimits) -> None:
        self.source = source
        self.now = now
        self.entries_left = room.entries
        self.bytes_left = room.content_bytes
        self.flows_left = dict(room.flows)
        self.per_flow = room.per_flow
        self.holders = room.holders
        self.messages: dict[str, Stored] = {}
        """By queue id."""
        self.claimed: list[ClaimedBatch] = []

    def has_capacity(self, flow: LaneFlow | None = None) -> bool:
        """Whether one more entry may be taken, of that flow if one is given."""
        return self.entries_left > 0 and (flow is None or self._left_of(flow) > 0)

    def _left_of(self, flow: LaneFlow) -> int:
        return 0 if is_held(self.holders, flow) else self.flows_left.get(flow.flow.of_party, self.per_flow)

    def take(self, flow: LaneFlow, most: int) -> tuple[int, float | None]:
        """Lease at most `most` due entries of the flow; return their number, and the earliest time of the next one.

        The last message may exceed `most` if its recipients in one lane share one transaction. Fewer than `most` are
        taken when no further one is due, or fits.
        """
        most = min(most, self.entries_left, self._left_of(flow))
        if most <= 0:
            return 0, None
        rows = self.source.first(flow, most + 1)
        due = [row for row in rows[:most] if row[_NEXT_ATTEMPT_AT] <= self.now]
        if len(rows) > most and due and rows[most][0] == due[-1][0]:
            due = self._with_companions(flow.lane, due)

        taken = 0
        for queue_id, group in _by_message(due):
            self.claimed += batches(self._content(queue_id), group)
            taken += len(group)
            self.source.take(group)

        self.entries_left -= taken
        self.flows_left[flow.flow.of_party] = self._left_of(flow) - taken
        following = min(len(due), most)
        return taken, rows[following][_NEXT_ATTEMPT_AT] if len(rows) > following else None

    def _with_companions(self, lane: str, due: list[Row]) -> list[Row]:
        """Return the due rows and the other due recipients of the last message in the lane, one transaction's worth."""
        last = due[-1][0]
        if self._content(last)[0].policy.is_per_recipient:
            return due
        others = [row for row in due if row[0] != last]
        return others + self.source.same_message(last, lane, self.now)

    def _content(self, queue_id: str) -> Stored:
        """Return a message, with its content if that is not large and fits: it delays no other message."""
        if queue_id not in self.messages:
            stored = self.messages[queue_id] = self.source.message(queue_id, min(LARGE, self.bytes_left))
            if isinstance(stored[1], bytes):
                self.bytes_left -= len(stored[1])
        return self.messages[queue_id]


def claim(
    lanes: DueLanes, now: float, room: ClaimLimits, source: Callable[[Connection], ClaimSource]
) -> Callable[[Connection], Sequence[ClaimedBatch]]:
    """Lease due entries of the source: equal shares for the due lanes, in turns of their flows, then the rest."""

    def operation(raw: Connection) -> Sequence[ClaimedBatch]:
        lanes.refresh(raw)
        claiming = _Claim(source(raw), now, room)
        ready = lanes.ready(now)
        waiting = (
            _WaitingLane(lane, open_flows, free, lanes.order(lane, ready[lane]))
            for lane, free in _open_lanes([*ready], room)
            if (open_flows := [one for one in ready[lane] if claiming.has_capacity(one)])
        )

        # A due lane may turn out to have no due entry; then the lanes behind it get its share.
        while claiming.has_capacity() and (some := list(islice(waiting, claiming.entries_left))):
            _share_out(claiming, lanes, some)

        claiming.source.finish()
        return claiming.claimed

    return operation


def _open_lanes(ready: Sequence[str], room: ClaimLimits) -> Iterator[tuple[str, int]]:
    """Yield the lanes that may be claimed from, each with its entries.

    Lanes of one site get equal parts of what it has left. Those behind the last one that gets a part keep their turn.
    """
    left, group_of = dict(room.sites.free), room.sites.group_of
    lanes = Counter(group_of.get(lane, "") for lane in ready) if left else Counter()
    for lane in ready:
        free, group = room.of_lane(lane), group_of.get(lane, "")
        if group in left:
            free = min(free, left[group], max(1, room.sites.free[group] // lanes[group]))
        if free > 0 and room.connections.may_open(lane):
            if group in left:
                left[group] -= free
            yield lane, free


class _WaitingLane:
    """A lane with the flows that have entries due, and its remaining capacity."""

    def __init__(self, name: str, flows: Sequence[LaneFlow], free: int, order: FairOrder) -> None:
        self.name = name
        self.flows = dict.fromkeys(flows)
        self.free = free
        self.order = order
        self.unserved = dict.fromkeys(flows)
        self.is_served = False

    def allotment(self, amount: int) -> dict[LaneFlow, int]:
        """Return how many of that many entries each flow gets, in the order of their turns."""
        flows = {flow.flow: flow for flow in self.flows}
        allotted = self.order.allot(flows, amount)
        return {flows[one]: allotted[one] for one in self.order.order(flows) if allotted[one]}

    def taken(self, flow: LaneFlow, entries: int) -> None:
        """Count entries of a flow that was served."""
        self.is_served = True
        self.unserved.pop(flow, None)
        self.order.serve(flow.flow, float(entries))
        self.free -= entries


def _share_out(claiming: _Claim, lanes: DueLanes, some: Sequence[_WaitingLane]) -> None:
    """Take from these lanes, round after round, until no due entry is left that fits."""
    waiting = list(some)
    while waiting and claiming.has_capacity():
        share = max(1, claiming.entries_left // len(waiting))
        allotted = [(lane, lane.allotment(min(share, lane.free))) for lane in waiting]
        wanted = {flow: most for _, flows in allotted for flow, most in flows.items()}
        claiming.source.prefetch(wanted, claiming.bytes_left)

        for lane, flows in allotted:
            for flow, most in flows.items():
                taken, next_due = claiming.take(flow, most)
                if taken < most:
                    del lane.flows[flow]
                if taken or claiming.has_capacity(flow):
                    lane.taken(flow, taken)
                    lanes.served(flow, next_due, claiming.now)
        waiting = [lane for lane in waiting if lane.free > 0 and lane.flows]

    for flow in (flow for lane in some if lane.is_served for flow in lane.unserved):
        lanes.passed(flow)


def _by_message(rows: Iterable[Row]) -> Iterable[tuple[str, list[Row]]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    return groups.items()


def release(lanes: DueLanes, entries: Sequence[Entry], boot: str) -> Callable[[Connection], None]:
    """Return leased entries to the queue unchanged: their claimant was cancelled."""

    def operation(raw: Connection) -> None:
        raw.executemany(RELEASE, [(entry.queue_id, entry.number, boot) for entry in entries])
        for entry in entries:
            lanes.add(entry.lane_flow, entry.next_attempt_at)

    return operation


def leased_before(
    keys: Sequence[tuple[str, int]], boot: str, unreadable: Unreadable
) -> Callable[[Connection], Sequence[ClaimedBatch]]:
    """Return the entries that an earlier boot still has leased, by message."""

    def operation(raw: Connection) -> Sequence[ClaimedBatch]:
        return claimed_of(raw, [row for key in keys for row in raw.execute(LEFT, (*key, boot))], unreadable)

    return operation


def claimed_of(raw: Connection, rows: Iterable[Row], unreadable: Unreadable) -> list[ClaimedBatch]:
    """Return entries by message, with their contents."""
    return [
        batch
        for queue_id, group in _by_message(rows)
        for batch in batches(intact_message(queue_id, read_stored(raw, queue_id, unreadable, LARGE)), group)
    ]


def recover(lanes: DueLanes, now: float, longest_wait: float, boot: str) -> Callable[[Connection], int]:
    """Void the leases of other boots and clamp waits that are too long; return the number of voided leases."""

    def operation(raw: Connection) -> int:
        voided = raw.execute(VOID, (boot,)).rowcount
        raw.execute(CLAMP, (now + longest_wait,))
        pauses.clock_set(raw, now, 0.0)
        sites.clock_set(raw, now)
        lanes.stale = True
        return voided

    return operation


def clock_set(
    lanes: DueLanes, now: float, step: float, longest_wait: float, lifetime: float
) -> Callable[[Connection], None]:
    """Adapt to a clock step: lifetimes keep their length, waits stay within the schedule."""

    def operation(raw: Connection) -> None:
        pauses.clock_set(raw, now, step)
        sites.clock_set(raw, now)
        if step > 0:
            raw.execute(LENGTHEN, (now, lifetime, step))
        else:
            raw.execute(SHORTEN, (now, lifetime))
            raw.execute(CLAMP, (now + longest_wait,))
        lanes.stale = True

    return operation


def next_due(
    lanes: DueLanes, busy: Collection[str], flows: Collection[Flow], connections: NodeConnections, holders: Holders
) -> Callable[[Connection], float | None]:
    """Return the due time of the next waiting entry that this node may claim."""

    def may_claim(flow: LaneFlow) -> bool:
        is_full = flow.lane in busy or flow.flow.of_party in flows or is_held(holders, flow)
        return not is_full and connections.may_open(flow.lane)

    def operation(raw: Connection) -> float | None:
        lanes.refresh(raw)
        return lanes.next_due(raw, may_claim)

    return operation

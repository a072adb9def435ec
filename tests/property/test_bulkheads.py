"""The bulkheads of the queue, simulated: whatever others do, single mails leave soon, and nobody exceeds its share."""

from collections import Counter, deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.limits.fair_order import FairOrder
from relay.limits.priority import Flow, Priority
from relay.limits.shares import Shares
from relay.queue.claim_limits import is_held
from relay.queue.entry import LaneFlow
from relay.queue.in_flight import RESERVED, FlowTable
from relay.queue.lanes import LaneTable

TICK = 0.02
"""Seconds between two claims."""

SERVICE = 0.1
"""Seconds that a live destination takes for a message."""

LIVE = "provider:live"

ENTRIES = 200
"""Entries in flight, to be shared out: less than a relay has, so that few parties use them up."""

SINGLE_EVERY = 20
"""Ticks between two single mails: less than their fair share beside 25 parties of priority HIGH (twice the weight)."""

TICKS = 200
"""Four seconds."""

MAX_HANGING = 10
"""Parties to which the live destination never answers, at most."""

SINGLE = Flow("identity:single@acme.test", Priority.NORMAL)


@dataclass(slots=True)
class World:
    """Waiting mail by lane and flow, and what is in flight. Destinations but the live one never answer.

    The live one never answers to hanging parties.
    """

    now: float = 0.0
    waiting: dict[str, dict[Flow, deque[float]]] = field(default_factory=dict)
    orders: dict[str, FairOrder] = field(default_factory=dict)
    lanes: LaneTable = field(default_factory=lambda: LaneTable(max_concurrency=20))
    flows: FlowTable = field(default_factory=lambda: FlowTable(Shares(ENTRIES)))
    ends: list[tuple[float, str, Flow]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Seconds that each single mail waited."""

    def enqueue(self, lane: str, flow: Flow, count: int = 1) -> None:
        self.waiting.setdefault(lane, {}).setdefault(flow, deque()).extend([self.now] * count)

    def tick(self) -> None:
        """End what is answered by now, and claim what has room."""
        self.now += TICK
        while self.ends and self.ends[0][0] <= self.now:
            _, lane, flow = heappop(self.ends)
            self.lanes.succeeded(lane, self.now)
            self.lanes.finish(lane, 1, flow.accountable)
            self.flows.finish(flow, 1)
        for lane, flows in self.waiting.items():
            while self._claim_one(lane, flows):
                self.check()

    def _claim_one(self, lane: str, flows: dict[Flow, deque[float]]) -> bool:
        holders = self.lanes.holders(self.now)
        if self.lanes.capacity(self.now).get(lane, self.lanes.initial_capacity()) <= 0 and lane not in holders:
            return False
        room, initial = self.flows.capacity(), self.flows.initial_capacity()
        order = self.orders.setdefault(lane, FairOrder())
        ready = [
            flow
            for flow, mails in flows.items()
            if mails and room.get(flow.of_party, initial) > 0 and not is_held(holders, LaneFlow(lane, *flow))
        ]
        if not ready:
            return False

        flow = order.order(ready)[0]
        order.serve(flow)
        since = flows[flow].popleft()
        self.lanes.start(lane, 1, flow.accountable)
        self.flows.start(flow, 1)
        if lane == LIVE and "hanging" not in flow.principal:
            heappush(self.ends, (self.now + SERVICE, lane, flow))
        if flow == SINGLE:
            self.waits.append(self.now - since)
        return True

    def check(self) -> None:
        """Nobody holds more than half of the entries, nor all together more than the shares and the reserves."""
        held: Counter[object] = self.flows.shares.held
        parties = [party for party in held if isinstance(party, str)]
        assert all(held[party] <= max(RESERVED, ENTRIES // 2) for party in parties)
        assert self.flows.shares.used <= ENTRIES + RESERVED * len(parties)


PARTIES = st.lists(st.sampled_from(["identity", "network", "credential"]), min_size=1, max_size=25)


@settings(max_examples=15, deadline=None)
@given(
    hanging=PARTIES,
    lanes=st.integers(1, 30),
    flooding=PARTIES,
    authors=st.integers(1, 4),
    priority=st.sampled_from(Priority),
)
@example(hanging=["identity"] * 2, lanes=5, flooding=["identity"] * 25, authors=2, priority=Priority.HIGH)
def test_single_mails_leave_within_a_second_whatever_others_do(
    hanging: list[str], lanes: int, flooding: list[str], authors: int, priority: Priority
) -> None:
    world = World()
    for number, kind in enumerate(hanging):
        hosts = [f"mx:hangs{lane}.test" for lane in range(lanes)]
        for lane in (*hosts, LIVE) if number < MAX_HANGING else hosts:
            world.enqueue(lane, Flow(f"{kind}:hanging{number}", priority), 20)
    for number, kind in enumerate(flooding):
        for author in range(authors):
            world.enqueue(LIVE, Flow(f"{kind}:flood{number}\t{author:02x}", priority), 1000)

    for tick in range(TICKS):
        if tick % SINGLE_EVERY == 0:
            world.enqueue(LIVE, SINGLE)
        world.tick()

    waits = sorted(world.waits)
    assert len(waits) == TICKS // SINGLE_EVERY
    assert waits[int(0.95 * len(waits))] < 1.0

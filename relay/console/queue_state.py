"""The queue as the pages show it: depth, sites, the oldest message of each lane."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from relay.clock import Clock
from relay.console.cached import Cached
from relay.queue.entry import State
from relay.queue.ports import Depth, QueueAdminStore
from relay.reports.sites import SiteReport

OPEN = (State.WAITING, State.HELD, State.ACTIVE)
"""States of entries of the queue."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """The open entries, counted."""

    at: float
    depth: Sequence[Depth]
    oldest: Mapping[str, str]
    """Queue id of the oldest waiting message by lane."""
    sites: Sequence[SiteReport]

    @property
    def total(self) -> int:
        """The number of open entries."""
        return sum(one.count for one in self.depth)

    def count(self, state: State, *, due: bool | None = None) -> int:
        """Return the number of entries in a state, due or not."""
        return sum(one.count for one in self.depth if one.state is state and due in (None, one.due))

    def by_lane(self) -> Counter[str]:
        """Return the number of open entries by lane."""
        lanes: Counter[str] = Counter()
        for one in self.depth:
            lanes[one.lane] += one.count
        return lanes


def queue_state(
    store: QueueAdminStore, sites: Callable[[], Awaitable[Sequence[SiteReport]]], clock: Clock
) -> Cached[QueueState]:
    """Return the state of the queue, read at most every few seconds."""

    async def read() -> QueueState:
        now = clock()
        depth, oldest, reports = await asyncio.gather(store.depth_by_time(now), store.oldest(), sites())
        return QueueState(now, depth, oldest, reports)

    return Cached(read, clock)

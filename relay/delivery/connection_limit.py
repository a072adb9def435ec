"""The connections that count for one limit, and who waits for them: the party with the fewest is served first. Pure.

Connections are held for as long as a server takes, so turns are by what a party holds, not by what it got. One party
alone may hold all of them. As soon as others wait, no party that holds more than one of these gets a further one.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from relay.limits.priority import Flow


class WaitingLane(NamedTuple):
    """Jobs that wait in one order: those of one flow to one lane."""

    flow: Flow
    lane: str


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """How many connections may count for a key."""

    most: int
    reserve: int = 0
    """Connections beyond these, for parties that hold none: many that hang would leave nothing."""
    share: int = 0
    """Connections that one party may hold. 0 for all: no other party has mail."""
    factor: float = 0.0
    """A party may hold as many as are free, times this (`relay.limits.shares`). 0 for no such bound."""

    def admits(self, used: int, held: int) -> bool:
        """Whether a party that holds `held` of the `used` connections may have a further one."""
        if used >= self.most:
            return not held and used < self.most + self.reserve
        if self.share and held >= self.share:
            return False
        return not held or not self.factor or held + 1 <= self.factor * (self.most - used - 1)


@lru_cache(maxsize=256)
def connection_limit(most: int, reserve: int = 0, share: int = 0, factor: float = 0.0) -> ConnectionLimit:
    """Return a limit. It is cached: each connection asks for several, and few differ."""
    return ConnectionLimit(most, reserve, share, factor)


@dataclass(slots=True)
class LimitUse:
    """The connections in use that count for one key, and the lines that wait for it."""

    used: int = 0
    held: dict[str | Flow, int] = field(default_factory=dict)
    """Connections by accountable party, and by flow."""
    waiting: dict[str, dict[Flow, dict[str, None]]] = field(default_factory=dict)
    """Lanes by party and flow, in the order of their turns."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing counts for the key, and nothing waits for it."""
        return not self.used and not self.waiting

    def admits(self, limit: ConnectionLimit, party: str) -> bool:
        """Whether the limit has room for one more connection of the party."""
        return limit.admits(self.used, self.held.get(party, 0))

    def take(self, party: str, flow: Flow) -> None:
        """Count a connection of a flow of the party."""
        self.used += 1
        self.held[party] = self.held.get(party, 0) + 1
        self.held[flow] = self.held.get(flow, 0) + 1

    def give_back(self, party: str, flow: Flow) -> None:
        """Count a connection no more."""
        self.used -= 1
        for holder in (party, flow):
            left = self.held[holder] - 1
            if left:
                self.held[holder] = left
            else:
                del self.held[holder]

    def wait(self, line: WaitingLane) -> None:
        """Add a line behind the others of its flow."""
        self.waiting.setdefault(line.flow.accountable, {}).setdefault(line.flow, {})[line.lane] = None

    def first(self) -> WaitingLane:
        """Return the line whose turn it is.

        It is of the party that holds the fewest, and of its flow that holds the fewest for its weight. Lanes of a flow
        take turns.
        """
        flows = self.waiting[min(self.waiting, key=lambda party: self.held.get(party, 0))]
        flow = min(flows, key=lambda one: (self.held.get(one, 0) / one.priority.weight, one.priority))
        return WaitingLane(flow, next(iter(flows[flow])))

    def leave(self, line: WaitingLane) -> None:
        """Remove a line. It stands last among equals when it waits again."""
        flows = self.waiting[line.flow.accountable]
        lanes = flows[line.flow]
        del lanes[line.lane]
        if not lanes:
            del flows[line.flow]
        if not flows:
            del self.waiting[line.flow.accountable]

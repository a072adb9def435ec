"""How much of a resource each party may hold: dynamic thresholds. Pure.

A party may hold as much as is free, times a factor (Choudhury, Hahne: Dynamic Queue Length Thresholds, 1998). One that
is alone gets half, for a factor of one. With each further one the share shrinks, and something always stays free for a
party that holds nothing yet. So a resource is used well by few, and cannot be taken away from the others by any.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Shares:
    """The holders of one resource."""

    total: int
    reserve: int = 0
    """What parties that hold nothing may take beyond the total: many that give nothing back would leave nothing."""
    used: int = 0
    held: Counter[Hashable] = field(default_factory=Counter)
    """Amount by party."""

    @property
    def free(self) -> int:
        """The part of the total that is free."""
        return max(0, self.total - self.used)

    def room(self, party: Hashable, factor: float) -> int:
        """Return how much more a party may take now, if it takes it at once."""
        # The largest x with held + x <= factor * (free - x).
        return max(0, int((factor * self.free - self.held[party]) / (1 + factor)))

    def admits(self, amount: int, parties: Mapping[Any, float]) -> bool:
        """Whether these parties, each with its factor, may take the amount together.

        Parties that hold nothing get all that is free, and the reserve. An amount beyond the total is taken alone.
        """
        if amount > self.free:
            is_new = not any(self.held[party] for party in parties)
            return not self.used or (is_new and self.used + amount <= self.total + self.reserve)
        return all(not self.held[party] or amount <= self.room(party, factor) for party, factor in parties.items())

    def take(self, amount: int, parties: Mapping[Any, float]) -> None:
        """Count the amount as held by these parties."""
        self.used += amount
        for party in parties:
            self.held[party] += amount

    def give_back(self, amount: int, parties: Mapping[Any, float]) -> None:
        """Count the amount as free again."""
        self.used -= amount
        for party in parties:
            self.held[party] -= amount
            if not self.held[party]:
                del self.held[party]

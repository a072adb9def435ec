"""How much of a resource each party may hold: dynamic thresholds. Pure.

A party may hold as much as is free, times a factor (Choudhury, Hahne: Dynamic Queue Length Thresholds, 1998). One that
is alone gets half, for a factor of one; with each further one the share shrinks, and something always stays free for a
party that holds nothing yet. So a resource is used well by few, and cannot be taken away from the others by any.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Shares:
    """The holders of one resource."""

    total: int
    used: int = 0
    held: Counter[str] = field(default_factory=Counter)
    """Amount by party."""

    @property
    def free(self) -> int:
        """What nobody holds."""
        return max(0, self.total - self.used)

    def room(self, party: str, factor: float) -> int:
        """Return how much more a party may take now, if it takes it at once."""
        # The largest x with held + x <= factor * (free - x).
        return max(0, int((factor * self.free - self.held[party]) / (1 + factor)))

    def admits(self, amount: int, parties: Mapping[str, float]) -> bool:
        """Whether these parties, each with its factor, may take the amount together.

        A party that holds nothing gets all that is free, and one amount that exceeds the total is taken alone.
        """
        if amount > self.free:
            return not self.used
        return all(not self.held[party] or amount <= self.room(party, factor) for party, factor in parties.items())

    def take(self, amount: int, parties: Mapping[str, float]) -> None:
        """Count the amount as held by these parties."""
        self.used += amount
        for party in parties:
            self.held[party] += amount

    def give_back(self, amount: int, parties: Mapping[str, float]) -> None:
        """Count the amount as free again."""
        self.used -= amount
        for party in parties:
            self.held[party] -= amount
            if not self.held[party]:
                del self.held[party]

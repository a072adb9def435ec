"""What a store of rate limits must do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.limits.window import Window


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one queue entry in the ledgers of its identity and its provider."""

    queue_id: str
    number: int
    windows: Mapping[str, tuple[Window, ...]]
    """By ledger key ("identity:…", "provider:…")."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How one ledger stands at a moment."""

    left: tuple[int, ...]
    """For each of its windows, in order: how many left within the span that ends now."""
    waiting: int
    """Places given for later."""
    free_at: float
    """When a message accepted now could leave at the earliest."""


class LimitStore(Protocol):
    """Rolling windows that hold over restarts, and over all nodes that share the store.

    An entry has one place in each ledger of its slot, and none in others: `reserve` and `depart` give up what it had
    before, under whichever keys.
    """

    async def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> Sequence[float]:
        """Give each slot the earliest time, not before its `at`, that breaks none of its windows."""

    async def acquire(self, slot: Slot, now: float) -> float:
        """Move the slot to `now` and return `now` when its windows allow that; else to the next free time, returned."""

    async def release(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Give the places of entries back that did not leave: they never will, or ask again when they are due."""

    async def commit(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Let what left under these numbers count for good: whoever leaves once more counts once more."""

    async def usage(self, windows: Mapping[str, tuple[Window, ...]], now: float) -> Mapping[str, Usage]:
        """Return how the ledgers stand, by key, for the windows given. Changes nothing."""

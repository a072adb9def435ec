"""The store of rate limits that this package requires."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.limits.outcome_rates import OutcomeCounts
from relay.limits.quota import Quota, TooMany
from relay.limits.window import Window


@dataclass(frozen=True, slots=True)
class Slot:
    """The slot of one queue entry in the ledgers of its identity and its provider."""

    queue_id: str
    number: int
    windows: Mapping[str, tuple[Window, ...]]
    """By ledger key ("identity:…", "provider:…")."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of one ledger at one moment."""

    left: tuple[int, ...]
    """For each of its windows, in order: messages sent within the span that ends now."""
    waiting: int
    """Slots reserved for later."""
    free_at: float
    """Unix time of the earliest possible departure of a message accepted now."""


class OutcomeStore(Protocol):
    """The outcomes of the mail of identities, by hour; all nodes of the store add to them. Raises StoreError."""

    async def add(self, counts: Mapping[str, OutcomeCounts], now: float, window: float) -> Mapping[str, OutcomeCounts]:
        """Add the counts of identities; return the sums of each of them over the window, in seconds before `now`."""

    async def forget(self, identity: str) -> None:
        """Delete the counts of an identity: its rates begin anew."""


class LimitStore(Protocol):
    """Rolling windows that persist over restarts and are shared by all nodes of the store.

    An entry has one slot in each ledger of its `Slot`, and none in others: `reserve` and `acquire` release its
    earlier slots, whatever their keys.
    """

    async def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> Sequence[float]:
        """Give each slot the earliest time, not before its `at`, that its windows allow."""

    async def advance(self, slots: Sequence[Slot], at: Sequence[float], before: Sequence[float]) -> Sequence[float]:
        """Give each slot the earliest time, not before its `at`, that its windows allow, if it is before `before`.

        Else nothing changes, and the time returned is `before`.
        """

    async def acquire(self, slot: Slot, now: float) -> float:
        """Move the slot to `now` if its windows allow that, else to the next free time; return its time."""

    async def release(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Release the slots of entries that were not sent. Entries sent later acquire a new slot when they are due."""

    async def commit(self, queue_id: str, numbers: Sequence[int]) -> None:
        """Count the messages sent under these numbers permanently. A second sending counts again."""

    async def usage(self, windows: Mapping[str, tuple[Window, ...]], now: float) -> Mapping[str, Usage]:
        """Return the usage of each ledger by key, for the windows given. Changes nothing."""


class QuotaStore(Protocol):
    """Uses of quotas, which persist over restarts and are shared by all nodes of the store."""

    async def spend(self, quotas: Sequence[Quota], now: float) -> TooMany | None:
        """Count a use in all quotas; TooMany, and nothing counted, if one of them is used up. Raises StoreError."""

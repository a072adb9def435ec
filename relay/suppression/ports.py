"""What the suppression list needs from a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.suppression.suppression import Suppression


@dataclass(frozen=True, slots=True)
class SuppressionQuery:
    """Which suppressions are meant; empty fields match everything. `after` is the last one of the page before."""

    address: str = ""
    domain: str = ""
    reason: str = ""
    after: tuple[str, str] = ("", "")
    """Address and domain."""
    limit: int = 1000


class SuppressionStore(Protocol):
    """Keeps the suppression list. Addresses are compared in lower case. All raise StoreError."""

    async def suppressed(self, addresses: Sequence[str], domain: str, now: float) -> Mapping[str, Suppression]:
        """Return which of the addresses a sending domain must not write to, by their normal form."""

    async def suppressions(self, query: SuppressionQuery) -> Sequence[Suppression]:
        """Return the suppressions that match, in order of address and domain."""

    async def suppress(self, suppressing: Sequence[Suppression]) -> None:
        """Put addresses on the list, in place of what was there about the same address and domain."""

    async def unsuppress(self, addresses: Sequence[str], domain: str) -> Sequence[Suppression]:
        """Take addresses off the list of that domain ("" is the list for all), with what was counted against them.

        Return what was taken off.
        """

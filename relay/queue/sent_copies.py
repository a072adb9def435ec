"""Copies of simulated mail as it would have left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

ALL = -1
"""In the place of the number of an entry: all recipients that get the same octets."""

BEFORE_ALL = -2
"""The number before that of the first copy."""

ORIGINAL = -2
"""In that place: the content as the application sent it, which the queue forgets with its last recipient."""


@dataclass(frozen=True, slots=True)
class SentCopy:
    """The content that a server would have got, with the reverse-path."""

    queue_id: str
    number: int
    """Number of the entry, ALL or ORIGINAL."""
    at: float
    reverse_path: str
    content: bytes


class SentCopyStore(Protocol):
    """Keeps copies as long as their messages. All methods raise StoreError."""

    async def keep(self, copy: SentCopy) -> None:
        """Write a copy. It replaces that of an earlier attempt."""

    async def copies(self, queue_id: str) -> Sequence[SentCopy]:
        """Return the copies of a message, by number. The original is not among them."""

    async def copies_page(self, queue_id: str, after: int, octets: int) -> tuple[Sequence[SentCopy], bool]:
        """Return the copies with higher numbers, as many as fit but at least one, and whether there are more."""

    async def original(self, queue_id: str) -> SentCopy | None:
        """Return a sandbox message as the application sent it; None without one."""

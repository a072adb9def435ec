"""The connections that share the reads of a store."""

from collections.abc import Callable

from relay.storage.database import DbSession
from relay.storage.postgres.connection import PostgresLink, T, Target

READERS = 3
"""Connections that read."""


class ReaderPool(PostgresLink):
    """Connections that share the reads: each goes to the least busy one. They connect at first use."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._busy: dict[PostgresLink, int] = {PostgresLink(target): 0 for _ in range(READERS)}

    async def run(self, function: Callable[[DbSession], T]) -> T:
        """Run the function in the thread of one of the connections."""
        link = min(self._busy, key=self._busy.__getitem__)
        self._busy[link] += 1
        try:
            return await link.run(function)
        finally:
            self._busy[link] -= 1

    async def close(self) -> None:
        """Close all connections."""
        for link in self._busy:
            await link.close()
        await super().close()

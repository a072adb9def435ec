"""Connections that read: several, so that a long report keeps no look-up of a message being accepted waiting."""

from collections.abc import Callable
from typing import TypeVar

from relay.storage.database import Session
from relay.storage.pg.link import PostgresLink

T = TypeVar("T")

READERS = 3


class Readers(PostgresLink):
    """A link that hands each piece of work to the connection with the least to do. They connect when first needed."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._busy: dict[PostgresLink, int] = {PostgresLink(url): 0 for _ in range(READERS)}

    async def run(self, function: Callable[[Session], T]) -> T:
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

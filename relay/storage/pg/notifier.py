"""Tells the other nodes what was enqueued: at most ten times a second, however much that is."""

import asyncio
from collections.abc import Iterable
from functools import partial

import psycopg

from relay.storage.database import Link, Session
from relay.storage.pg.pulse import Due, payload

PAUSE = 0.1
"""Seconds from the first thing to tell until it is told; what comes meanwhile goes with it."""

_NOTIFY = "SELECT pg_notify(?, ?)"


class Notifier:
    """Gathers lanes and names them in one notification. One that fails is made up for by the others' looks."""

    def __init__(self, link: Link, node: str) -> None:
        self._link = link
        self._node = node
        self._dues: dict[str, float] = {}
        self._telling: asyncio.Task[None] | None = None
        self.channel = ""

    def tell(self, dues: Iterable[Due]) -> None:
        """Tell soon that something in these lanes is due."""
        for lane, due in dues:
            self._dues[lane] = min(due, self._dues.get(lane, due))
        if self._dues and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell())

    async def close(self) -> None:
        """Tell what is left."""
        if self._telling is not None:
            await self._telling

    async def _tell(self) -> None:
        while self._dues:
            await asyncio.sleep(PAUSE)
            said = self.channel, payload(self._node, self._dues.items())
            self._dues = {}
            try:
                await self._link.run(partial(_notify, said))
            except psycopg.Error:
                return


def _notify(said: tuple[str, str], session: Session) -> None:
    session.execute(_NOTIFY, said).fetchall()

"""Lease renewal, LISTEN/NOTIFY."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from psycopg import AsyncConnection

from relay.storage.database import DbSession, DriverConnection
from relay.storage.postgres.connection import parameters, translated
from relay.storage.postgres.leases import VOID
from relay.storage.postgres.nodes import EXPIRE, HEARTBEAT, LEASE, LIVE, REGISTER, RENEW, Node

_RETRY = 1.0


_CHANNEL = "SELECT 'relay_' || md5(current_schema())"


Due = tuple[str, float]
"""A lane, and when something in it is due."""


@dataclass(frozen=True, slots=True)
class HeartbeatResult:
    """What a heartbeat found."""

    gone: Mapping[str, int]
    """Nodes whose leases ran out, each with the number of entries it held."""
    freed: Sequence[Due]
    """What all of them held and is waiting again."""
    live: Sequence[str]
    """The nodes that live, this one too, in order."""
    renewed: bool
    """Whether our own lease was still good; else there is a new one, and what was held under the old one is lost."""


@dataclass(frozen=True, slots=True)
class HeartbeatCallbacks:
    """Who hears of what."""

    beat: Callable[[HeartbeatResult], None]
    due: Callable[[Sequence[Due]], None]
    """Another node enqueued; empty when there was too much to name, or when nobody listened for a while."""


class Heartbeat:
    """Beats on a connection of its own, which also listens."""

    def __init__(self, url: str, node: Node, ears: HeartbeatCallbacks) -> None:
        self._url = url
        self._node = node
        self._ears = ears
        self._serial = 0
        self._task: asyncio.Task[None] | None = None
        self._connection: AsyncConnection[Any] | None = None
        self._renewed_at = 0.0
        self.channel = ""
        self.lease = ""
        """The lease in force."""

    @property
    def lease_valid(self) -> bool:
        """Whether the lease is certainly good: nothing may be claimed without."""
        return time.monotonic() - self._renewed_at < LEASE - 1

    async def start(self) -> None:
        """Register the node and begin to beat. Raises psycopg.Error."""
        await self._connect()
        await self._register()
        await self._beat()
        self._task = asyncio.create_task(self._run(), name="store pulse")

    async def stop(self) -> None:
        """Beat no more. The lease runs out by itself, unless this node starts again before."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._drop()

    async def _run(self) -> None:
        while True:
            try:
                if self._connection is None:
                    await self._connect()
                    await self._beat()
                    self._ears.due(())  # Whatever was said meanwhile was not heard.
                await self._listen(HEARTBEAT)
                await self._beat()
            except (psycopg.Error, OSError):  # Whoever has work for the store tells of the trouble.
                await self._drop()
                await asyncio.sleep(_RETRY)

    async def _connect(self) -> None:
        connection = await AsyncConnection.connect(
            **parameters(self._url), autocommit=True, cursor_factory=psycopg.AsyncRawCursor
        )
        self._connection = connection
        row = await (await connection.execute(_CHANNEL)).fetchone()
        self.channel = row[0] if row else ""
        await connection.execute(f"LISTEN {self.channel}")

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _listen(self, seconds: float) -> None:
        """Hand on what other nodes say, for so long."""
        assert self._connection is not None
        async for notice in self._connection.notifies(timeout=seconds):
            sender, _, named = notice.payload.partition(" ")
            if sender != self._node.id:
                self._ears.due(dues_of(named))

    async def _register(self) -> None:
        """Take a new lease."""
        self._serial += 1
        lease = f"{self._node.boot}.{self._serial}"
        node = self._node
        began = time.monotonic()
        await self._execute(REGISTER, node.id, node.hostname, node.version, node.boot, lease)
        self.lease, self._renewed_at = lease, began

    async def _beat(self) -> None:
        began = time.monotonic()
        renewed = bool(await self._execute(RENEW, self._node.id, self.lease))
        if renewed:
            self._renewed_at = began
        else:
            await self._register()
        gone = dict(await self._execute(EXPIRE, LEASE))
        freed = [(row[0], row[1]) for row in await self._execute(VOID)]
        live = [row[0] for row in await self._execute(LIVE)]
        self._ears.beat(HeartbeatResult(gone, freed, live, renewed))

    async def _execute(self, sql: str, *values: object) -> list[Any]:
        assert self._connection is not None
        cursor = await self._connection.execute(translated(sql), values or None)
        return await cursor.fetchall() if cursor.description else []


def payload(node: str, dues: Iterable[Due], most: int = 7900) -> str:
    """Return what is said to the other nodes: who speaks, and the lanes, when they fit into one notification."""
    named = json.dumps(list(dues), separators=(",", ":"))
    return f"{node} {named}" if len(named) + len(node) < most else f"{node} "


def dues_of(named: str) -> Sequence[Due]:
    """Return the lanes that a notification names; none, which asks for a look at all, where it is not understood."""
    try:
        return [(str(lane), float(due)) for lane, due in json.loads(named or "[]")]
    except (ValueError, TypeError):
        return ()


PAUSE = 0.1
"""Seconds from the first thing to tell until it is told; what comes meanwhile goes with it."""


_NOTIFY = "SELECT pg_notify(?, ?)"


class Notifier:
    """Gathers lanes and names them in one notification. One that fails is made up for by the others' looks."""

    def __init__(self, link: DriverConnection, node: str) -> None:
        self._link = link
        self._node = node
        self._dues: dict[str, float] = {}
        self._notifying: asyncio.Task[None] | None = None
        self.channel = ""

    def notify(self, dues: Iterable[Due]) -> None:
        """Tell soon that something in these lanes is due."""
        for lane, due in dues:
            self._dues[lane] = min(due, self._dues.get(lane, due))
        if self._dues and (self._notifying is None or self._notifying.done()):
            self._notifying = asyncio.create_task(self._send())

    async def close(self) -> None:
        """Tell what is left."""
        if self._notifying is not None:
            await self._notifying

    async def _send(self) -> None:
        while self._dues:
            await asyncio.sleep(PAUSE)
            said = self.channel, payload(self._node, self._dues.items())
            self._dues = {}
            try:
                await self._link.run(partial(_notify, said))
            except psycopg.Error:
                return


def _notify(said: tuple[str, str], session: DbSession) -> None:
    session.execute(_NOTIFY, said).fetchall()

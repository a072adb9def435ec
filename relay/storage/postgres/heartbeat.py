"""Heartbeats, which renew the lease of this node, and notifications between nodes (LISTEN, NOTIFY)."""

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

from relay.clock import Clock
from relay.queue.entry import LaneFlow
from relay.storage.database import DbSession, DriverConnection
from relay.storage.postgres.connection import Target, parameters, translated
from relay.storage.postgres.leases import VOID, due_of
from relay.storage.postgres.nodes import (
    EXPIRE,
    FORGET_EXPIRED,
    HEARTBEAT,
    LEASE,
    LIVE,
    NOW,
    REGISTER,
    RENEW,
    TAKEOVER,
    Node,
    clock_ahead,
)

_RETRY = 1.0

_CHANNEL = "SELECT 'relay_' || md5(current_schema())"

Due = tuple[LaneFlow, float]
"""A flow, and the Unix time at which its first entry is due."""


@dataclass(frozen=True, slots=True)
class HeartbeatResult:
    """Result of one heartbeat."""

    gone: Mapping[str, int]
    """Nodes with an expired lease, each with the number of its entries, which others take over later."""
    freed: Sequence[Due]
    """Lanes and due times of the entries that were returned to the queue."""
    clocks: Mapping[str, float]
    """Live nodes, this one included, in order: each with the seconds that its clock is ahead of the database's."""
    renewed: bool
    """Whether the lease was still valid; else there is a new one, and entries under the old one are lost."""


@dataclass(frozen=True, slots=True)
class HeartbeatCallbacks:
    """Callbacks for heartbeat results and queue notifications."""

    beat: Callable[[HeartbeatResult], None]
    due: Callable[[Sequence[Due]], None]
    """Another node enqueued; empty when the lanes did not fit, or when notifications may have been missed."""
    links: Callable[[], None]
    """Another node changed the blocked links, or may have done so."""


class Heartbeat:
    """Sends heartbeats on a connection of its own, and receives notifications on it."""

    def __init__(self, target: Target, node: Node, callbacks: HeartbeatCallbacks, clock: Clock) -> None:
        self._target = target
        self._node = node
        self._callbacks = callbacks
        self._clock = clock
        self._serial = 0
        self._task: asyncio.Task[None] | None = None
        self._connection: AsyncConnection[Any] | None = None
        self._renewed_at = 0.0
        self.channel = ""
        self.lease = ""
        """The current lease."""

    @property
    def link_channel(self) -> str:
        """Channel of changes of the blocked links."""
        return f"{self.channel}_links"

    @property
    def lease_valid(self) -> bool:
        """Whether the lease is certainly valid: claims require that."""
        return time.monotonic() - self._renewed_at < LEASE - 1

    async def start(self) -> None:
        """Register the node and send heartbeats. Raises psycopg.Error."""
        await self._connect()
        await self._register()
        await self._beat()
        self._task = asyncio.create_task(self._run(), name="store heartbeat")

    async def stop(self) -> None:
        """Stop the heartbeats. The lease expires, unless this node starts again before."""
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
                    self._callbacks.due(())  # Notifications may have been missed.
                    self._callbacks.links()
                await self._listen(HEARTBEAT)
                await self._beat()
            except (psycopg.Error, OSError):  # Calls of the store report the fault.
                await self._drop()
                await asyncio.sleep(_RETRY)

    async def _connect(self) -> None:
        try:
            connection = await self._open()
        except psycopg.OperationalError:
            if not await asyncio.to_thread(self._target.renew):
                raise
            connection = await self._open()
        self._connection = connection
        row = await (await connection.execute(_CHANNEL)).fetchone()
        self.channel = row[0] if row else ""
        await connection.execute(f"LISTEN {self.channel}")
        await connection.execute(f"LISTEN {self.link_channel}")

    async def _open(self) -> AsyncConnection[Any]:
        return await AsyncConnection.connect(
            **parameters(self._target.url), autocommit=True, cursor_factory=psycopg.AsyncRawCursor
        )

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _listen(self, seconds: float) -> None:
        """Pass notifications of other nodes to the callback, for that many seconds."""
        assert self._connection is not None
        async for notice in self._connection.notifies(timeout=seconds):
            sender, _, named = notice.payload.partition(" ")
            if sender == self._node.id:
                continue
            if notice.channel == self.link_channel:
                self._callbacks.links()
            else:
                self._callbacks.due(dues_of(named))

    async def _register(self) -> None:
        """Take a new lease."""
        self._serial += 1
        lease = f"{self._node.boot}.{self._serial}"
        node = self._node
        began = time.monotonic()
        await self._execute(REGISTER, node.id, node.hostname, node.version, node.boot, lease)
        self.lease, self._renewed_at = lease, began

    async def _beat(self) -> None:
        ahead = await self._clock_ahead()
        began = time.monotonic()
        renewed = bool(await self._execute(RENEW, ahead, self._node.id, self.lease))
        if renewed:
            self._renewed_at = began
        else:
            await self._register()

        gone = dict(await self._execute(EXPIRE, TAKEOVER, LEASE))
        await self._execute(FORGET_EXPIRED)
        freed = [due_of(row) for row in await self._execute(VOID)]
        clocks = {row[0]: row[1] for row in await self._execute(LIVE)}
        self._callbacks.beat(HeartbeatResult(gone, freed, clocks, renewed))

    async def _clock_ahead(self) -> float:
        """Return the seconds that the clock of this node is certainly ahead of the database's; negative: behind."""
        began, here = time.monotonic(), self._clock()
        [(there,)] = await self._execute(f"SELECT {NOW}")
        half = (time.monotonic() - began) / 2
        return clock_ahead(here + half, there, uncertain=half)

    async def _execute(self, sql: str, *values: object) -> list[Any]:
        assert self._connection is not None
        cursor = await self._connection.execute(translated(sql), values or None)
        return await cursor.fetchall() if cursor.description else []


def payload(node: str, dues: Iterable[Due], most: int = 7900) -> str:
    """Return a notification: the sending node, and the lanes where they fit into `most` octets."""
    named = json.dumps(list(dues), separators=(",", ":"))
    return f"{node} {named}" if len(named) + len(node) < most else f"{node} "


def dues_of(named: str) -> Sequence[Due]:
    """Return the lanes of a notification; none, which means "read all lanes", for an invalid one."""
    try:
        return [(_flow(*flow), float(due)) for flow, due in json.loads(named or "[]")]
    except (ValueError, TypeError):
        return ()


def _flow(lane: object, principal: object, priority: object) -> LaneFlow:
    return LaneFlow(str(lane), str(principal), int(str(priority)))


PAUSE = 0.1
"""Seconds from the first due lane to its notification, which also names later lanes."""

_NOTIFY = "SELECT pg_notify(?, ?)"


class Notifier:
    """Collects lanes and names them in one notification. A lost notification is harmless: other nodes poll."""

    def __init__(self, link: DriverConnection, node: str) -> None:
        self._link = link
        self._node = node
        self._dues: dict[LaneFlow, float] = {}
        self._notifying: asyncio.Task[None] | None = None
        self.channel = ""

    def notify(self, dues: Iterable[Due]) -> None:
        """Send a notification of these due lanes soon."""
        for flow, due in dues:
            self._dues[flow] = min(due, self._dues.get(flow, due))
        if self._dues and (self._notifying is None or self._notifying.done()):
            self._notifying = asyncio.create_task(self._send())

    async def close(self) -> None:
        """Send the remaining lanes."""
        if self._notifying is not None:
            await self._notifying

    async def _send(self) -> None:
        while self._dues:
            await asyncio.sleep(PAUSE)
            notification = self.channel, payload(self._node, self._dues.items())
            self._dues = {}
            try:
                await self._link.run(partial(_notify, notification))
            except psycopg.Error:
                return


def _notify(notification: tuple[str, str], session: DbSession) -> None:
    session.execute(_NOTIFY, notification).fetchall()

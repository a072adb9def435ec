"""A run: nodes over one PostgreSQL, applications that send, kills and restarts at random, and the wait for the end."""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from relay.config import check
from relay.limits.window import DAY, HOUR
from relay.storage.postgres.nodes import NODE_FILE
from tests.abuse.nodes.senders import (
    IDENTITIES,
    LIMITED_IDENTITIES,
    OPEN,
    SCARCE,
    Sender,
    limited_sender,
    open_sender,
    scarce_sender,
)
from tests.abuse.nodes.story import Key, Kill, Limit, Note, Restart, Story
from tests.servers.audit import leaks_of
from tests.servers.postgres import PostgresServer, fresh_schema
from tests.servers.relay_process import RelayProcess

IN_HAND = (
    "SELECT queue_id, recipient FROM entries JOIN nodes ON nodes.lease = entries.lease "
    "WHERE node = %s AND state = 'active' AND entries.lease != ''"
)

OPEN_NOW = (
    "SELECT lane, state, count(*), min(next_attempt_at), max(release_at), max(attempts), max(reason) FROM entries "
    "WHERE state IN ('waiting', 'held', 'active') AND release_at <= %s GROUP BY lane, state"
)

HELD_BACK = "SELECT queue_id, recipient FROM entries WHERE state = 'waiting' AND release_at > %s"

SOON = 120.0
"""Seconds: what a limit lets go within them is waited for."""

PATIENCE = 60.0
"""Seconds a node has to start again, or PostgreSQL to answer."""

MAX_IDLE = 5.0
"""Seconds a kill waits until there is something to strike."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done in a run. Spans of seconds are chosen at random between two bounds."""

    nodes: int = 3
    senders: int = 20
    kills: int = 20
    restarts: int = 2
    seed: int = 1
    gap: tuple[float, float] = (2.0, 8.0)
    """Between two kills."""
    down: tuple[float, float] = (1.0, 20.0)
    """Until a killed node is started again: sooner than its lease runs out, and later."""
    working: float = 8.0
    """For how long a node has been up at least when it is killed: it takes its share of the lanes after six seconds."""
    away: tuple[float, float] = (1.0, 4.0)
    """How long PostgreSQL is stopped."""
    patience: float = 300.0
    """How long the queue may take to get empty at the end."""
    identity_hourly: int = 20
    scarce_daily: int = 150

    @property
    def limits(self) -> list[Limit]:
        return [
            Limit("identity, an hour", IDENTITIES, self.identity_hourly, HOUR, each=True),
            Limit("provider, a day", SCARCE, self.scarce_daily, DAY, each=False),
        ]

    def config(self, url: str, sink: int) -> str:
        """Return what a node's configuration has beside the usual."""
        providers = "".join(
            f'[[provider]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {sink}\ntls = "none"\n{more}'
            f'[domains."{name}"]\nprovider = "{name}"\n'
            for name, more in [*((name, "") for name in OPEN), (SCARCE, f"daily_limit = {self.scarce_daily}\n")]
        )
        unlimited = "".join(
            f'[identities."news@{name}"]\nhourly_limit = 0\ndaily_limit = 0\n' for name in (*OPEN, SCARCE)
        )
        limited = "".join(
            f'[identities."id{number}@{IDENTITIES}"]\nhourly_limit = {self.identity_hourly}\n'
            for number in range(LIMITED_IDENTITIES)
        )
        limits = "[limits]\nidentity_daily_ceiling = 0\n"
        return f'[storage]\nurl = "{url}"\n{limits}{providers}{unlimited}{limited}'


class Trial:
    """One run over servers that are up."""

    def __init__(self, plan: Plan, server: PostgresServer | None, url: str, nodes: list[RelayProcess]) -> None:
        self._plan = plan
        self._server = server
        self._url = url
        self._nodes = nodes
        self._dice = random.Random(plan.seed)
        self._down: dict[int, asyncio.Task[None]] = {}
        self._up_since = [time.monotonic()] * len(nodes)
        self._kills: list[Kill] = []
        self._restarts: list[Restart] = []

    async def run(self, notes: Path) -> Story:
        """Send, kill, restart, wait until the queue is empty but for what limits hold back; tell what happened."""
        senders = self._senders()
        began = time.time()
        for sender in senders:
            sender.start()
        try:
            await self._disturb()
        finally:
            for sender in senders:
                sender.end()
        await asyncio.gather(*self._down.values())
        for sender in senders:
            await asyncio.to_thread(sender.join)
        await self._drained()
        drained = time.time()
        rows = await self._sql(HELD_BACK, drained)
        return Story(
            promises=[promise for sender in senders for promise in sender.promises],
            notes=[Note.of(line) for line in notes.read_text().splitlines()],
            refusals=[refusal for sender in senders for refusal in sender.refusals],
            kills=self._kills,
            restarts=self._restarts,
            held_back=frozenset((row[0], row[1]) for row in rows),
            limits=self._plan.limits,
            said=Counter(name for node in self._nodes for name in troubles(node.log_file)),
            began=began,
            drained=drained,
            leaks=await self._leaks(),
        )

    async def _leaks(self) -> list[str]:
        """Return the leaks that an audit of the store finds; nodes still run."""
        settings, faults, _ = check(self._nodes[0].config, {})
        assert settings is not None, faults
        return await leaks_of(settings)

    def _senders(self) -> list[Sender]:
        ports = [node.port for node in self._nodes]
        limit = self._plan.identity_hourly
        kinds = [limited_sender(limit), limited_sender(limit), scarce_sender()]
        kinds += [open_sender(number) for number in range(self._plan.senders - len(kinds))]
        return [
            Sender(number, ports, random.Random(f"{self._plan.seed}/{number}"), kind)
            for number, kind in enumerate(kinds)
        ]

    async def _disturb(self) -> None:
        """Kill nodes and restart PostgreSQL in between, at even distances."""
        plan = self._plan
        at = {round((number + 1) * plan.kills / (plan.restarts + 1)): number for number in range(plan.restarts)}
        for number in range(1, plan.kills + 1):
            await asyncio.sleep(self._dice.uniform(*plan.gap))
            await self._kill()
            if number in at:
                await asyncio.sleep(self._dice.uniform(*plan.gap))
                await self._restart("immediate" if at[number] % 2 == 0 else "fast")
        await asyncio.sleep(self._dice.uniform(*plan.gap))

    async def _kill(self) -> None:
        """Kill a node that has something in hand, one other at least being up; start it again after a while."""
        while not (working := self._working()) or len(self._down) >= len(self._nodes) - 1:
            await asyncio.sleep(0.1)
        number = self._dice.choice(working)
        node = self._nodes[number]
        idle_until = time.monotonic() + MAX_IDLE
        while not await self._in_hand(node) and time.monotonic() < idle_until:
            await asyncio.sleep(0.02)
        await node.kill()
        at = time.time()
        in_hand = await self._in_hand(node)
        self._kills.append(Kill(number, at, in_hand))
        print(f"  kill {len(self._kills)}: node {number} with {len(in_hand)} in hand", file=sys.stderr, flush=True)
        self._down[number] = asyncio.create_task(self._revive(number, self._dice.uniform(*self._plan.down)))

    async def _in_hand(self, node: RelayProcess) -> frozenset[Key]:
        name = (node.folder / "data" / NODE_FILE).read_text().strip()
        return frozenset((row[0], row[1]) for row in await self._sql(IN_HAND, name))

    def _working(self) -> list[int]:
        before = time.monotonic() - self._plan.working
        return [number for number, since in enumerate(self._up_since) if number not in self._down and since <= before]

    async def _revive(self, number: int, after: float) -> None:
        """Start a node again, as often as it takes: its start fails while PostgreSQL is away."""
        await asyncio.sleep(after)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                await self._nodes[number].start()
                break
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)
        self._up_since[number] = time.monotonic()
        del self._down[number]

    async def _restart(self, mode: str) -> None:
        assert self._server is not None
        down = time.time()
        await asyncio.to_thread(self._server.stop, mode)
        await asyncio.sleep(self._dice.uniform(*self._plan.away))
        await asyncio.to_thread(self._server.start)
        self._restarts.append(Restart(mode, down, time.time()))
        print(f"  PostgreSQL: {self._restarts[-1]}", file=sys.stderr, flush=True)

    async def _drained(self) -> None:
        deadline = time.monotonic() + self._plan.patience
        while left := await self._sql(OPEN_NOW, time.time() + SOON):
            if time.monotonic() > deadline:
                raise AssertionError(f"the queue does not get empty: it is {time.time():.0f}, and there are {left}")
            await asyncio.sleep(0.2)

    async def _sql(self, sql: str, *values: Any) -> list[Any]:
        def ask() -> list[Any]:
            with psycopg.connect(self._url, autocommit=True) as raw:
                return raw.execute(sql, values).fetchall()

        return await asyncio.to_thread(ask)


def troubles(log: Path) -> Iterator[str]:
    """Yield the names of the lines of a log that are warnings or errors. A kill may have cut a line short."""
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if '"level":"' in line and not any(f'"level":"{one}"' in line for one in ("debug", "info")):
                with suppress(ValueError):
                    yield json.loads(line)["event"]


async def run(plan: Plan, folder: Path, named: str = "") -> Story:
    """Make a run in a folder, over a PostgreSQL of its own, or the one that is named (which is not restarted)."""
    async with AsyncExitStack() as stack:
        server = None if named else await asyncio.to_thread(PostgresServer, fsync="on")
        if server is not None:
            stack.push_async_callback(asyncio.to_thread, server.close)
        url = fresh_schema(server.url if server is not None else named)
        notes = folder / "notes"
        port = await stack.enter_async_context(sink(notes))
        nodes: list[RelayProcess] = []
        for number in range(plan.nodes):
            data = folder / f"node{number}"
            data.mkdir()
            nodes.append(await stack.enter_async_context(RelayProcess(data, port, plan.config(url, port))))
        return await Trial(plan, server, url, nodes).run(notes)


@asynccontextmanager
async def sink(notes: Path) -> AsyncIterator[int]:
    """Run the receiving server; give its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.abuse.nodes.sink",
        str(notes),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.wait()

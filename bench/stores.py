"""Measures the stores side by side: messages enqueued, claimed and settled a second, and the CPU they cost.

    python bench/stores.py [--messages 5000] [--size 20000] [--at-once 200] [--url postgresql://…]

Without --url PostgreSQL comes from the dev extras, with its own defaults for durability. Its CPU is that of all its
processes.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from relay.limits.ports import Slot
from relay.limits.window import windows
from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import State
from relay.queue.message import ClaimedBatch
from relay.storage.postgres.store import PostgresStore
from relay.storage.sqlite.store import SqliteStore
from relay.storage.store import Store
from tests.contract.values import accepted, settle
from tests.servers.postgres import PostgresServer, drop_schema, fresh_schema

LANES = 200

LIMITS = ClaimLimits(entries=2000, content_bytes=256 << 20, per_lane=20, lanes={})

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Measure:
    """Wall clock and CPU seconds of this process and of the server's."""

    server: Path | None

    async def __call__(self, what: str, count: int, work: Callable[[], Awaitable[object]]) -> None:
        wall, own, theirs = time.perf_counter(), time.process_time(), self._server_cpu()
        await work()
        wall, own, theirs = (
            time.perf_counter() - wall,
            time.process_time() - own,
            self._server_cpu() - theirs,
        )
        print(
            f"  {what:<24} {count / wall:9.0f}/s   CPU ms each: here {1000 * own / count:.3f}, "
            f"server {1000 * theirs / count:.3f}"
        )

    def _server_cpu(self) -> float:
        if self.server is None:
            return 0.0
        postmaster = (self.server / "data" / "postmaster.pid").read_text().split("\n")[0]
        total = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if stat.parent.name == postmaster or fields[1] == postmaster:
                total += sum(map(int, fields[11:13] if stat.parent.name != postmaster else fields[11:15]))
        return total / TICKS


async def measure(name: str, store: Store, arguments: argparse.Namespace, measured: Measure) -> None:
    print(name)
    now = time.time()
    content = (b"0123456789abcdef" * (arguments.size // 16 + 1))[: arguments.size]
    numbers = iter(range(arguments.messages))

    async def enqueue() -> None:
        for number in numbers:
            await store.queue.enqueue(
                accepted(f"Q{number:09}", f"u@{number % LANES}.test", due=now, at=now, content=content)
            )

    async def together(work: Callable[[], Awaitable[object]]) -> None:
        await asyncio.gather(*(work() for _ in range(arguments.at_once)))

    await measured("enqueue", arguments.messages, lambda: together(enqueue))
    claims: list[ClaimedBatch] = []

    async def claim() -> None:
        while taken := await store.queue.claim(now + 1, LIMITS):
            claims.extend(taken)

    await measured("claim", arguments.messages, claim)
    assert len(claims) == arguments.messages, len(claims)
    settling = iter(claims)

    async def apply() -> None:
        for one in settling:
            await store.queue.apply([settle(one, State.DELIVERED, now)])

    await measured("settle", arguments.messages, lambda: together(apply))
    limits = {f"identity:{n}": windows(400, 2000) for n in range(20)} | {"provider:p": windows(0, 100_000)}
    reserving = iter(range(arguments.messages))

    async def reserve() -> None:
        for number in reserving:
            keys = (f"identity:{number % 20}", "provider:p")
            await store.limits.reserve([Slot(f"S{number:09}", 0, {key: limits[key] for key in keys})], [now])

    await measured("reserve a place", arguments.messages, lambda: together(reserve))


async def run(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        lite = await SqliteStore.open(path / "relay.db", now=time.time())
        await measure("SQLite", lite, arguments, Measure(None))
        await lite.close()
        server = None if arguments.url else PostgresServer(fsync="on", shared_buffers="256MB", max_wal_size="4GB")
        url = fresh_schema(server.url if server else arguments.url)
        try:
            store = await PostgresStore.open(url, path, now=time.time())
            await measure("PostgreSQL", store, arguments, Measure(server.folder if server else None))
            await store.close()
        finally:
            drop_schema(url)
            if server:
                server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--url", default="")
    asyncio.run(run(parser.parse_args()))

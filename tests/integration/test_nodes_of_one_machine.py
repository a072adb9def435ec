"""`relay serve --nodes`: several processes at one port, which are restarted, reloaded and stopped together."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.test_relay_postgres import send, storage, until_all
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE, until


class Nodes(RelayProcess):
    """A relay of several nodes."""

    options = ("--nodes", "2")


def children(pid: int) -> dict[int, int]:
    """Return the processes of the nodes, by number."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        arguments = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if b"--node" in arguments:
            found[int(arguments[arguments.index(b"--node") + 1])] = int(child)
    return found


async def alive(relay: RelayProcess, count: int) -> None:
    async def are_so_many() -> bool:
        return [node["state"] for node in await relay.json("nodes")].count("alive") == count

    await until(are_so_many)


async def test_nodes_share_a_port_and_one_that_is_killed_starts_again(postgres: str, tmp_path: Path) -> None:
    async with Sink() as sink, Nodes(tmp_path, sink.port, storage(postgres)) as relay:
        assert isinstance(relay.process, asyncio.subprocess.Process)
        await alive(relay, 2)
        nodes = children(relay.process.pid)
        assert sorted(nodes) == [1, 2]
        replies = await asyncio.gather(*(asyncio.to_thread(send, relay.port, number) for number in range(20)))
        assert {code for code, _ in replies} == {250}

        async def are_healthy() -> bool:
            status = json.loads(await relay.run("status", "--json", check=False))
            return bool(status.get("nodes") == {"1": "healthy", "2": "healthy"})

        await until(are_healthy)

        os.kill(nodes[2], signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            while children(relay.process.pid).get(2, nodes[2]) == nodes[2]:
                await asyncio.sleep(0.1)
        assert [line["node"] for line in relay.log("node.ended")] == [2]
        await until_all(sink, set(range(20)))
        async with asyncio.timeout(PATIENCE):
            while len(relay.log("server.started")) < 3:
                await asyncio.sleep(0.1)

        relay.config.write_text(relay.config.read_text().replace('retry = ["1s"]', 'retry = ["2s"]'))
        await alive(relay, 2)
        await relay.run("config", "reload")
        assert len(relay.log("config.reloaded")) == 2
        assert await relay.stop() == 0
        assert children_are_gone(nodes)


def children_are_gone(nodes: dict[int, int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in nodes.values())


async def test_nodes_end_with_the_process_that_runs_them(postgres: str, tmp_path: Path) -> None:
    async with Sink() as sink, Nodes(tmp_path, sink.port, storage(postgres)) as relay:
        assert isinstance(relay.process, asyncio.subprocess.Process)
        await alive(relay, 2)
        nodes = children(relay.process.pid)
        relay.process.kill()
        async with asyncio.timeout(PATIENCE):
            while not children_are_gone(nodes):
                await asyncio.sleep(0.1)


async def test_sqlite_is_refused(tmp_path: Path) -> None:
    relay = Nodes(tmp_path, 1)
    (tmp_path / "data").mkdir()
    with pytest.raises(AssertionError):
        await relay.start()
    assert relay.process is not None
    said = relay.log_file.read_text()
    assert "--nodes 2 needs PostgreSQL, because one process alone may use a SQLite file" in said
    assert await relay.process.wait() == 78

"""Processes of nodes: which are started, when they start again, and how they end. A node here is a short script."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from typing import Any

from relay.cli.serve_nodes import NodeProcesses
from tests.servers.waiting import PATIENCE

NODE = """
import os, signal, socket, sys, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.connect(os.environ["NOTIFY_SOCKET"])
    notify.send(b"READY=1")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
time.sleep(600)
"""

UNREADY = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(600)"

FAILS = "import sys; sys.exit(78)"


class Nodes:
    """Starts scripts in the place of nodes, and keeps what was started and logged."""

    def __init__(self, count: int, script: str = NODE) -> None:
        self.script = script
        self.spawn_fails = 0
        """Starts to come that the system refuses."""
        self.started: list[tuple[int, Process]] = []
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.reopened = 0
        self.nodes = NodeProcesses(count, self.spawn, self.log, self.reopen, first_wait=0.01)

    def reopen(self) -> None:
        self.reopened += 1

    def log(self, line: str, /, **fields: Any) -> None:
        self.lines.append((line, fields))

    async def spawn(self, number: int, more: Mapping[str, str]) -> Process:
        if self.spawn_fails:
            self.spawn_fails -= 1
            raise BlockingIOError("Resource temporarily unavailable")
        process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", self.script, env=os.environ | more)
        self.started.append((number, process))
        return process

    async def until_started(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.started) < count or not all(one.is_set() for one in self.nodes._ready.values()):
                await asyncio.sleep(0.01)


async def test_the_first_one_starts_alone_and_one_that_is_killed_starts_again() -> None:
    nodes = Nodes(3)
    running = asyncio.create_task(nodes.nodes.run())
    await nodes.until_started(3)
    assert nodes.started[0][0] == 1
    killed = dict(nodes.started)[2]
    killed.kill()
    await nodes.until_started(4)
    assert nodes.started[3][0] == 2
    assert nodes.lines == [("node.ended", {"node": 2, "code": -signal.SIGKILL, "wait": 0.01})]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert all(process.returncode is not None for _, process in nodes.started)


async def test_a_node_that_the_system_cannot_start_is_tried_again_and_ends_no_other() -> None:
    nodes = Nodes(2)
    running = asyncio.create_task(nodes.nodes.run())
    await nodes.until_started(2)
    nodes.spawn_fails = 2
    dict(nodes.started)[2].kill()
    await nodes.until_started(3)
    assert [(one["node"], one["code"]) for _, one in nodes.lines] == [(2, -signal.SIGKILL), (2, 71), (2, 71)]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_signals_of_log_rotation_end_neither_the_nodes_nor_one_that_starts() -> None:
    nodes = Nodes(2, NODE.replace("time.sleep", "signal.signal(signal.SIGHUP, lambda *_: sys.exit(3)); time.sleep", 1))
    running = asyncio.create_task(nodes.nodes.run())
    await nodes.until_started(2)
    nodes.script = UNREADY
    dict(nodes.started)[2].kill()
    await nodes.until_started(3)
    for number in (signal.SIGUSR2, signal.SIGHUP):
        os.kill(os.getpid(), number)
    assert await nodes.started[0][1].wait() == 3
    assert nodes.reopened == 1
    assert nodes.started[2][1].returncode is None
    os.kill(os.getpid(), signal.SIGTERM)
    await running


async def test_a_first_node_that_does_not_start_ends_all_with_its_code() -> None:
    nodes = Nodes(3, FAILS)
    assert await nodes.nodes.run() == 78
    assert [number for number, _ in nodes.started] == [1]
    assert nodes.lines == []

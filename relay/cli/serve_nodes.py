"""`relay serve --nodes N`: runs N nodes over one PostgreSQL at the same ports, and restarts those that end."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import click

from relay.cli.common import EX_CONFIG
from relay.cli.sd_notify import sd_notify
from relay.config import Settings
from relay.log import Emit, open_log

MAX_NODES = 64
"""Nodes of one machine, at most."""

FIRST_WAIT = 1.0
"""Seconds before a node that ended starts again; each further failure doubles them."""

MAX_WAIT = 60.0
"""Seconds before a node starts again, at most."""

STEADY = 60.0
"""Seconds after which a node that ends counts as failed for the first time."""

Spawn = Callable[[int, Mapping[str, str]], Awaitable[Process]]
"""Starts the process of a node, with this environment beside the own one."""


def refuse_sqlite(settings: Settings, option: str) -> None:
    """Print an error and exit if the store cannot have several nodes."""
    if settings.sqlite_path is None:
        return
    click.echo(
        f"relay: {option} needs PostgreSQL, because one process alone may use a SQLite file; "
        f'set storage.url = "postgresql://…", or leave {option.split(maxsplit=1)[0]} out',
        err=True,
    )
    sys.exit(EX_CONFIG)


def run_nodes(settings: Settings, path: Path, count: int) -> int:
    """Run the nodes until a signal; return the exit code."""

    async def spawn(number: int, more: Mapping[str, str]) -> Process:
        options = ("-c", str(path), "--node", str(number), "--end-with-parent")
        command = (sys.executable, "-m", "relay.cli", "serve", *options)
        return await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, env={**os.environ, **more})

    async def main() -> int:
        log = open_log(settings.log_file, settings.log.form, settings.log.level)
        return await NodeProcesses(count, spawn, log, log.reopen).run()

    return asyncio.run(main())


class NodeProcesses:
    """The processes of the nodes. The first one starts alone: it makes the keys and the schema that all share."""

    def __init__(
        self, count: int, spawn: Spawn, log: Emit, reopen_log: Callable[[], None], first_wait: float = FIRST_WAIT
    ) -> None:
        self._count = count
        self._spawn = spawn
        self._log = log
        self._reopen_log = reopen_log
        self._first_wait = first_wait
        self._running: dict[int, Process] = {}
        self._up: set[int] = set()
        self._ready: dict[int, asyncio.Event] = {number: asyncio.Event() for number in range(1, count + 1)}
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT. Return the exit code of the first node if it does not start, else 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        for number in (signal.SIGHUP, signal.SIGUSR1):
            loop.add_signal_handler(number, self._on_reload, number)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)

        with tempfile.TemporaryDirectory(prefix="relay-nodes-") as folder:
            first = asyncio.create_task(self._keep(1, Path(folder)))
            await _first_of(first, self._ready[1].wait())
            if first.done():
                return first.result()

            others = [asyncio.create_task(self._keep(number, Path(folder))) for number in range(2, self._count + 1)]
            await _first_of(self._stopping.wait(), _all_set(self._ready.values()))
            if not self._stopping.is_set():
                sd_notify("READY=1")
            await asyncio.gather(first, *others)
        return 0

    def _stop(self) -> None:
        """End all nodes. A second signal makes them exit at once."""
        if not self._stopping.is_set():
            sd_notify("STOPPING=1")
        self._stopping.set()
        self._pass_on(signal.SIGTERM)

    def _on_reload(self, number: signal.Signals) -> None:
        """Pass the signal on. A node that starts has the current file and log, and the signal would end it."""
        self._reopen_log()
        self._pass_on(number, self._up)

    def _pass_on(self, number: signal.Signals, nodes: Iterable[int] | None = None) -> None:
        for node in self._running if nodes is None else nodes:
            process = self._running[node]
            if process.returncode is None:
                process.send_signal(number)

    async def _keep(self, number: int, folder: Path) -> int:
        """Run a node again and again, with a back-off. Return its exit code at the end, or if it was never ready."""
        failures = 0
        while True:
            started = asyncio.get_running_loop().time()
            code = await self._run_once(number, folder)
            if self._stopping.is_set() or not (self._ready[number].is_set() or number > 1):
                return code

            failures = 0 if asyncio.get_running_loop().time() - started > STEADY else failures
            wait = min(self._first_wait * 2**failures, MAX_WAIT)
            failures += 1
            self._log("node.ended", node=number, code=code, wait=wait)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
                    return code

    async def _run_once(self, number: int, folder: Path) -> int:
        """Run the process of a node until it ends; return its exit code, EX_OSERR if it cannot be started."""
        address = folder / str(number)
        address.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as notify:
            notify.bind(str(address))
            try:
                process = self._running[number] = await self._spawn(number, {"NOTIFY_SOCKET": str(address)})
            except OSError:  # The system has no memory or no processes left at this moment.
                return os.EX_OSERR
            loop.add_reader(notify, self._notified, number, notify)
            try:
                if self._stopping.is_set():
                    process.terminate()
                return await process.wait()
            finally:
                loop.remove_reader(notify)
                self._up.discard(number)

    def _notified(self, number: int, notify: socket.socket) -> None:
        if b"READY=1" in notify.recv(4096).split(b"\n"):
            self._ready[number].set()
            self._up.add(number)


async def _all_set(events: Iterable[asyncio.Event]) -> None:
    for event in tuple(events):
        await event.wait()


async def _first_of(*awaitables: Awaitable[object]) -> None:
    """Wait until one of them is done, and cancel the others unless they are tasks of the caller."""
    tasks = [asyncio.ensure_future(one) for one in awaitables]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, one in zip(tasks, awaitables, strict=True):
        if task is not one:
            task.cancel()

"""A whole relay in a process of its own, as a sysadmin would run it."""

import asyncio
import json
import os
import signal
import sys
import tomllib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.ports import free_port
from tests.servers import forked
from tests.servers.audit import assert_no_leaks
from tests.servers.forked import ForkedProcess
from tests.servers.log_lines import log_lines
from tests.servers.waiting import PATIENCE

VERIFYING_NOBODY = "[verification]\ncampaign = false"


class RelayProcess:
    """`relay serve` over a folder; started and stopped as often as a test wants.

    `more` is TOML added to a configuration that hands everything to the provider `sink` at `sink_port`, and asks no
    verification of campaign mail unless `more` has a table about that.
    """

    options: tuple[str, ...] = ()
    """Options of `relay serve`. With any it is not forked."""
    program: tuple[str, ...] = ("-m", "relay.cli")
    """What Python runs. Another one is not forked."""
    retry = "1s"
    """How long mail waits after each attempt that failed for now."""

    def __init__(self, folder: Path, sink_port: int, more: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.tracker_port = free_port()
        self.config = folder / "relay.toml"
        self.log_file = folder / "relay.log"
        self.process: ForkedProcess | asyncio.subprocess.Process | None = None
        self.environment: dict[str, str] = {}
        """Variables it starts with, beside those of the tests. With any it is not forked."""
        self.config.write_text(self._toml(sink_port, more), encoding="utf-8")
        tomllib.loads(self.config.read_text(encoding="utf-8"))

    def _toml(self, sink_port: int, more: str) -> str:
        return f"""
[server]
hostname = "relay.test"
data_dir = "{self.folder / "data"}"
[[listener]]
name = "submission"
address = "127.0.0.1:{self.port}"
[tracker]
address = "127.0.0.1:{self.tracker_port}"
[queue]
retry = ["{self.retry}"]
[[provider]]
name = "sink"
host = "127.0.0.1"
port = {sink_port}
tls = "none"
[defaults]
provider = "sink"
{"" if "[verification]" in more else VERIFYING_NOBODY}
{more}
"""

    async def __aenter__(self) -> Self:
        (self.folder / "data").mkdir(exist_ok=True)
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()
        if error is None:
            await assert_no_leaks(self.config)

    async def start(self) -> None:
        """Start it and wait until all its listeners are open."""
        before = self._starts()
        with self.log_file.open("ab") as log:
            arguments = ("serve", "-c", str(self.config), *self.options)
            if self.environment or self.options or self.program != RelayProcess.program:
                self.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, *self.program, *arguments),
                    stdout=log,
                    stderr=log,
                    env=os.environ | self.environment,
                    start_new_session=True,
                )
            else:
                self.process = await forked.start(*arguments, stdout=log.fileno(), stderr=log.fileno())
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while asyncio.get_running_loop().time() < deadline:
            if self.process.returncode is not None:
                raise AssertionError(f"the relay ended with {self.process.returncode}:\n{self.log_file.read_text()}")
            if self._starts() > before:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"the relay did not start:\n{self.log_file.read_text()}")

    def _starts(self) -> int:
        """Return how often it said that all listeners are open, wherever its configuration has it log."""
        logs = (self.log_file, self.folder / "data" / "relay.log")
        return sum(one.read_bytes().count(b"server.started") for one in logs if one.exists())

    async def kill(self) -> None:
        """Kill the whole process group with SIGKILL."""
        if self.process is not None and self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()

    async def stop(self) -> int:
        """End it with SIGTERM and return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), PATIENCE)

    async def run(self, *arguments: str, check: bool = True) -> str:
        """Run a command of this relay's configuration and return what it wrote to standard output."""
        done = await forked.run(*arguments, "-c", str(self.config))
        if check and done.returncode != 0:
            raise AssertionError(f"relay {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    async def ran(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit code and all it wrote."""
        return await forked.run_together(*arguments, "-c", str(self.config))

    async def json(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a command with --json and return its lines."""
        return [json.loads(line) for line in (await self.run(*arguments, "--json")).splitlines()]

    def log(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of that name."""
        return log_lines(self.log_file, event)

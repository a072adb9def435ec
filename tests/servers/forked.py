"""Commands of relay, each in a process of its own, which a fork server starts in milliseconds.

Where the start itself is tested, or variables that only a new program reads, tests start `python -m relay.cli`.
"""

import asyncio
import atexit
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import IO

from tests.documentation import ROOT
from tests.servers.fork_client import request


class ForkedProcess:
    """A command that was started; as far as tests need it, what `asyncio.subprocess.Process` is."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection = connection
        self.pid = pid
        self._code: int | None = None

    @property
    def returncode(self) -> int | None:
        """Exit code, or the negative number of the signal that ended it; None while it runs."""
        if self._code is None:
            try:
                self._ended(self._connection.recv(16))
            except BlockingIOError:
                return None
        return self._code

    async def wait(self) -> int:
        """Wait until it ends, and return the exit code."""
        if self._code is None:
            code = await asyncio.get_running_loop().sock_recv(self._connection, 16)
            if self._code is None:
                self._ended(code)
        assert self._code is not None
        return self._code

    def _ended(self, code: bytes) -> None:
        self._connection.close()
        self._code = int(code)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def close(self) -> None:
        """Close the connection. The server kills the command if it still runs."""
        self._connection.close()

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


async def start(*arguments: str, stdout: int, stderr: int, stdin: int | None = None) -> ForkedProcess:
    """Start a command in a session of its own, with these descriptors as its standard streams."""
    with Path(os.devnull).open("rb") as nothing:
        streams = (nothing.fileno() if stdin is None else stdin, stdout, stderr)
        connection = request(fork_server(), arguments, os.environ, streams)
    connection.setblocking(False)
    try:
        return ForkedProcess(connection, int(await asyncio.get_running_loop().sock_recv(connection, 16)))
    except BaseException:
        connection.close()
        raise


async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with closing(await start(*arguments, stdout=out.fileno(), stderr=err.fileno())) as process:
            code = await process.wait()
        return subprocess.CompletedProcess(arguments, code, _content(out), _content(err))


async def run_together(*arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code and all that it wrote, in the order of a terminal."""
    with tempfile.TemporaryFile() as out:
        with closing(await start(*arguments, stdout=out.fileno(), stderr=out.fileno())) as process:
            code = await process.wait()
        return code, _content(out)


def _content(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()


@cache
def fork_server() -> str:
    """Start the server of this process, which ends with it; return the name of its socket."""
    name = f"relay-tests-fork-server-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        server = subprocess.Popen(
            (sys.executable, "-m", "tests.servers.fork_server", str(listener.fileno())),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            pass_fds=(listener.fileno(),),
        )
    atexit.register(server.communicate)
    return name

"""One renderer process, as seen by the relay: starts it, sends requests, reads answers, ends it."""

import asyncio
import math
import os
import signal
import socket
import sys
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import relay
from relay.clock import steady_clock
from relay.render.frames import (
    LENGTH,
    READY,
    Answer,
    Failed,
    FrameError,
    Request,
    largest_answer,
    read_answer,
    request_frame,
)
from relay.render.renderer import ContentFiles

BASE_MEMORY = 256 * 1024 * 1024
"""Octets of address space that a renderer needs without a message."""

START_TIMEOUT = 30.0
"""Seconds from the start of a renderer to its first frame, at most."""

END_TIMEOUT = 2.0
"""Seconds from the close of the socket until the renderer is killed."""

SEND_BUFFER = 1024 * 1024
"""Octets on their way to and from a renderer, so that most messages are written at once. Systems may allow less."""

TICKS = os.sysconf("SC_CLK_TCK")
"""Units of CPU time a second."""

WORKER = "relay.render.worker"
"""Module of a renderer. Named, not imported: the relay itself needs nothing that rewrites."""

PROGRAM = """
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
root, worker, *numbers = sys.argv[1:]
if root not in sys.path:
    sys.path.append(root)
found = PathFinder.find_spec("relay", [root])
sys.modules["relay"] = module_from_spec(found)
found.loader.exec_module(sys.modules["relay"])
import_module(worker).main(*map(int, numbers))
"""
"""Program of a renderer. It loads the package of its parent, installed or not. `root` is last on the module path."""

INHERITED_ENVIRONMENT: tuple[str, ...] = ("LD_LIBRARY_PATH",)
"""Environment variables that a renderer inherits. An interpreter may need them to start, and none holds a secret."""


class StartError(Exception):
    """A renderer did not start. The message gives the reason."""


@dataclass(slots=True)
class _PendingRequest:
    """A request without an answer."""

    answer: "asyncio.Future[Answer | None]"
    """None when the renderer ended at another message: the request must be repeated."""
    recipients: int
    content: bytes
    largest: int
    """Octets of the answer, at most."""
    due: float
    """Monotonic seconds when the answer is overdue."""


class RendererProcess(asyncio.Protocol):
    """A process with its requests without an answer, oldest first."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.answers = 0
        """Requests answered so far."""
        self.process: asyncio.subprocess.Process
        self._ready: asyncio.Future[None] = loop.create_future()
        self._pending: deque[_PendingRequest] = deque()
        self._transport: asyncio.WriteTransport
        self._descriptors: socket.socket
        """For the descriptors of files, in the order of the requests that have some."""
        self._received = bytearray()
        self._fault = ""

    @classmethod
    async def start(cls, max_memory: int, max_cpu: int) -> "RendererProcess":
        """Start a process. Raises StartError, OSError.

        It may use `max_memory` octets for messages, and `max_cpu` seconds of CPU time for one.
        """
        own_socket, worker_socket = socket.socketpair()
        own_descriptors, worker_descriptors = socket.socketpair()
        for one in (own_socket, worker_socket):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        with worker_socket, worker_descriptors, ExitStack() as on_failure:
            on_failure.callback(own_descriptors.close)
            own_descriptors.setblocking(False)
            _, renderer = await asyncio.get_running_loop().create_connection(cls, sock=own_socket)
            renderer._descriptors = own_descriptors
            on_failure.callback(renderer._transport.abort)
            fds = worker_socket.fileno(), worker_descriptors.fileno()
            renderer.process = await _spawn(fds, max_memory + BASE_MEMORY, max_cpu)
            on_failure.pop_all()

        try:
            await asyncio.wait((renderer._ready, renderer.ended), timeout=START_TIMEOUT, return_when="FIRST_COMPLETED")
        except asyncio.CancelledError:
            await renderer.close()
            raise
        if not renderer._ready.done():
            is_late = not renderer.ended.done()
            await renderer.close()
            raise StartError(f"not ready after {START_TIMEOUT:g} s" if is_late else renderer.exit_reason())
        return renderer

    @property
    def load(self) -> int:
        """Requests without an answer."""
        return len(self._pending)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the process has used, 0 where the system does not show it."""
        try:
            numbers = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        user, system = 11, 12  # Behind the name (proc_pid_stat(5)).
        return (int(numbers[user]) + int(numbers[system])) / TICKS

    def is_overdue(self, now: float) -> bool:
        """Whether an answer should have come before that time."""
        return any(pending.due < now for pending in self._pending)

    def send(
        self, request: Request, files: ContentFiles | None = None, timeout: float = math.inf
    ) -> "asyncio.Future[Answer | None]":
        """Send a request, with its files if the contents are in files. Each one in the process has `timeout` seconds.

        The answer is None when the request must be repeated with another renderer.
        """
        answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        if files is not None:
            with suppress(OSError):  # The renderer ended, and so will the request.
                socket.send_fds(self._descriptors, [b"f"], [files.source.fd, files.target.fd])
        due, largest = steady_clock() + timeout * (len(self._pending) + 1), largest_answer(request)
        asked = _PendingRequest(answer, len(request.recipients), request.message.content, largest, due)
        self._pending.append(asked)
        self._transport.writelines(request_frame(request))
        return answer

    def kill(self, fault: str) -> None:
        """Kill the process. The request in progress fails for this reason."""
        self._fault = self._fault or fault
        with suppress(ProcessLookupError):
            self.process.kill()
        self._transport.abort()

    async def close(self) -> None:
        """End the process, wait for its exit, and set the answers of its requests."""
        self._transport.close()
        self._descriptors.close()
        try:
            async with asyncio.timeout(END_TIMEOUT):
                await self.process.wait()
        except (TimeoutError, asyncio.CancelledError) as error:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._fail_pending()

    def _fail_pending(self) -> None:
        failure = Failed(self._fault or "the renderer ended", ended=True)
        for index, pending in enumerate(self._pending):
            if not pending.answer.done():
                # Only the oldest request was in progress.
                pending.answer.set_result(failure if index == 0 else None)
        self._pending.clear()

    def exit_reason(self) -> str:
        """Return why the process ended."""
        code = self.process.returncode
        status = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit status {code}"
        return f"{self._fault}, {status}" if self._fault else status

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Set the answers of requests from whole frames. Kill the renderer after a malformed frame."""
        if self._received:
            self._received += data
        try:
            at = self._receive_frames(self._received or data)
        except FrameError as error:
            self._received = bytearray()
            self.kill(f"a malformed answer: {error}")
            return
        if self._received:
            del self._received[:at]
        elif at < len(data):
            self._received += data[at:]

    def _receive_frames(self, received: bytes | bytearray) -> int:
        """Take the whole frames. Return where the rest begins."""
        at = 0
        with memoryview(received) as view:
            while len(view) - at >= LENGTH:
                start = at + LENGTH
                length = int.from_bytes(view[at:start], "big")
                if length > self._max_frame():
                    raise FrameError(f"a frame of {length} octets")
                if len(view) < start + length:
                    break
                at = start + length
                self._receive(view[start:at])
        return at

    def _max_frame(self) -> int:
        """Return the octets that the next frame may have after its length."""
        if not self._ready.done():
            return len(READY) - LENGTH
        return self._pending[0].largest if self._pending else 0

    def _receive(self, body: memoryview) -> None:
        if not self._ready.done():
            if body != READY[LENGTH:]:
                raise FrameError("the first frame is not the ready frame")
            self._ready.set_result(None)
            return

        if not self._pending:
            raise FrameError("an answer without a request")
        answer = read_answer(body, self._pending[0].recipients, self._pending[0].content)
        pending = self._pending.popleft()
        self.answers += 1
        if not pending.answer.done():
            pending.answer.set_result(answer)


async def _spawn(fds: tuple[int, int], max_memory: int, max_cpu: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *isolated(PROGRAM, WORKER, *map(str, (*fds, max_memory, max_cpu))),
        pass_fds=fds,
        stdin=asyncio.subprocess.DEVNULL,
        cwd="/",
        env={name: os.environ[name] for name in INHERITED_ENVIRONMENT if name in os.environ},
    )


def isolated(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a Python program in isolated mode, with the folder of `relay` as first argument.

    Nothing is imported from the working directory, the user's site-packages or PYTHONPATH (CWE-426, CWE-427).
    """
    root = Path(relay.__file__).resolve().parent.parent
    return [sys.executable, "-I", "-c", program, str(root), *arguments]

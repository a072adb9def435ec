"""One renderer process as the relay sees it: how it is started, asked and ended."""

import asyncio
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
from relay.render.worker import serve

BASE_MEMORY = 256 * 1024 * 1024
"""Octets of address space a renderer needs before it has a message."""

START_TIMEOUT = 30.0
"""Seconds until a renderer that started must say that it is ready."""

END_TIMEOUT = 2.0
"""Seconds until a renderer whose socket was closed is killed."""

PROGRAM = """
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
home, worker, *numbers = sys.argv[1:]
if home not in sys.path:
    sys.path.append(home)
found = PathFinder.find_spec("relay", [home])
sys.modules["relay"] = module_from_spec(found)
found.loader.exec_module(sys.modules["relay"])
import_module(worker).main(*map(int, numbers))
"""
"""A renderer's program. It loads the package of its parent, installed or not; `home` stands last on the module path."""

PASSED_ON = ("LD_LIBRARY_PATH",)
"""Environment variables a renderer inherits: what an interpreter may need to start, nothing that may hold a secret."""


class StartError(Exception):
    """A renderer did not start; the message says why."""


@dataclass(slots=True)
class _Question:
    """A request that has no answer yet."""

    answer: "asyncio.Future[Answer | None]"
    """None asks for another try: the renderer ended over another message."""
    recipients: int
    largest: int
    """Octets the answer may have."""


class RendererProcess(asyncio.Protocol):
    """A process and the requests it has not answered, oldest first."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.answers = 0
        """Requests answered so far."""
        self.process: asyncio.subprocess.Process
        self._ready: asyncio.Future[None] = loop.create_future()
        self._questions: deque[_Question] = deque()
        self._transport: asyncio.WriteTransport
        self._received = bytearray()
        self._fault = ""

    @classmethod
    async def start(cls, max_memory: int) -> "RendererProcess":
        """Start a process that may use that much memory (octets) for messages. Raises StartError, OSError."""
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as undo:
            _, renderer = await asyncio.get_running_loop().create_connection(cls, sock=ours)
            undo.callback(renderer._transport.abort)
            renderer.process = await _spawn(theirs.fileno(), max_memory + BASE_MEMORY)
            undo.pop_all()

        try:
            await asyncio.wait((renderer._ready, renderer.ended), timeout=START_TIMEOUT, return_when="FIRST_COMPLETED")
        except asyncio.CancelledError:
            await renderer.close()
            raise
        if not renderer._ready.done():
            late = not renderer.ended.done()
            await renderer.close()
            raise StartError(f"not ready after {START_TIMEOUT:g} s" if late else renderer.how_it_ended())
        return renderer

    @property
    def load(self) -> int:
        """Requests without an answer."""
        return len(self._questions)

    def ask(self, request: Request) -> "asyncio.Future[Answer | None]":
        """Send a request. The answer is None when it must be asked of another renderer."""
        answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._questions.append(_Question(answer, len(request.recipients), largest_answer(request)))
        self._transport.write(request_frame(request))
        return answer

    def kill(self, fault: str) -> None:
        """End it at once; the request it works on fails for this reason."""
        self._fault = self._fault or fault
        with suppress(ProcessLookupError):
            self.process.kill()
        self._transport.abort()

    async def close(self) -> None:
        """Have the process end and wait for it, then settle its requests."""
        self._transport.close()
        try:
            await asyncio.wait_for(self.process.wait(), END_TIMEOUT)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        for index, question in enumerate(self._questions):
            if not question.answer.done():
                # Only the oldest was being worked on.
                question.answer.set_result(Failed(self._fault or "the renderer ended") if index == 0 else None)
        self._questions.clear()

    def how_it_ended(self) -> str:
        """Say why the process ended, once it did."""
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
        """Pass whole answers on to their requests; end the renderer over anything else."""
        self._received += data
        try:
            while (body := self._next_frame()) is not None:
                self._take(body)
        except FrameError as error:
            self._received.clear()
            self.kill(f"a wrong answer: {error}")

    def _next_frame(self) -> bytes | None:
        received = self._received
        if len(received) < LENGTH:
            return None
        end = LENGTH + int.from_bytes(received[:LENGTH], "big")
        if end > LENGTH + self._largest():
            raise FrameError(f"a frame of {end} octets")
        if len(received) < end:
            return None
        with memoryview(received) as view:
            body = bytes(view[LENGTH:end])
        del received[:end]
        return body

    def _largest(self) -> int:
        """Octets the next frame may have after its length."""
        if not self._ready.done():
            return len(READY) - LENGTH
        return self._questions[0].largest if self._questions else 0

    def _take(self, body: bytes) -> None:
        if not self._ready.done():
            if body != READY[LENGTH:]:
                raise FrameError("the first frame does not say that it is ready")
            self._ready.set_result(None)
            return
        if not self._questions:
            raise FrameError("an answer without a request")
        answer = read_answer(body, self._questions[0].recipients)
        question = self._questions.popleft()
        self.answers += 1
        if not question.answer.done():
            question.answer.set_result(answer)


async def _spawn(fd: int, max_memory: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *isolated(PROGRAM, serve.__module__, str(fd), str(max_memory)),
        pass_fds=(fd,),
        stdin=asyncio.subprocess.DEVNULL,
        cwd="/",
        env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
    )


def isolated(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a Python program in isolated mode, with the folder of `relay` as first argument.

    Nothing is imported from the working directory, the user's site-packages or PYTHONPATH (CWE-426, CWE-427).
    """
    home = Path(relay.__file__).resolve().parent.parent
    return [sys.executable, "-I", "-c", program, str(home), *arguments]

"""The pool of renderer processes: untrusted mail is taken apart where it cannot hurt the relay."""

import asyncio
import os
import pickle
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import relay
from relay.config.settings import Render as RenderSection
from relay.domains.keys import Keys
from relay.render.render import Rendering, Stored, render, untouched
from relay.render.worker import LENGTH, Failed, Request, frame, serve

OUTSTANDING = 4
"""Requests a worker may have in its socket, so that it never waits for the next one."""


BASE_MEMORY = 256 * 1024 * 1024
"""Octets of address space a worker needs before it has a message."""


RESPAWN = 1.0
"""Seconds between two tries to start a worker."""


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
"""A worker's program. It loads the package of its parent, installed or not; `home` stands last on the module path."""


PASSED_ON = ("LD_LIBRARY_PATH",)
"""Environment variables a worker inherits: what an interpreter may need to start, nothing that may hold a secret."""


OnFailure = Callable[[str, str], None]
"""Called with queue id ("" for none) and reason when a rendering failed."""


class InlineRenderer:
    """Renders in this process: for `render.workers = 0` and for commands."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def use(self, keys: Keys) -> None:
        """Use these keys from now on."""
        self._keys = keys

    async def start(self) -> None:
        """Nothing has to be started."""

    async def stop(self) -> None:
        """Nothing has to be stopped."""

    async def render(self, stored: Stored, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        """Render now."""
        return render(stored, recipients, self._keys, eight_bit=eight_bit)


class _Worker(asyncio.Protocol):
    """One process and the requests it has not answered, oldest first."""

    def __init__(self, ended: "Callable[[_Worker], None]") -> None:
        self.process: asyncio.subprocess.Process
        self.pending: deque[asyncio.Future[Sequence[Rendering] | Failed | None]] = deque()
        """An answer of None asks for another try: the worker ended over somebody else's message."""
        self._ended = ended
        self._transport: asyncio.WriteTransport
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass whole answers on to who asked."""
        received = self._received
        received += data
        while len(received) >= LENGTH:
            end = LENGTH + int.from_bytes(received[:LENGTH], "big")
            if len(received) < end:
                return
            with memoryview(received) as view, view[LENGTH:end] as answer:
                value = pickle.loads(answer)  # noqa: S301 - from our own child
            del received[:end]
            waiting = self.pending.popleft()
            if not waiting.done():
                waiting.set_result(value)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc
        self._ended(self)

    def send(self, value: object) -> None:
        """Send a request, or new keys."""
        self._transport.write(frame(value))

    def close(self) -> None:
        """Have the process end."""
        self._transport.close()


class RenderPool:
    """Renders in worker processes; a message that crashes, hangs or bloats one goes out as it came."""

    def __init__(self, keys: Keys, *, workers: int, timeout: float, max_memory: int, on_failure: OnFailure) -> None:
        self._keys = keys
        self._size = workers
        self._timeout = timeout
        self._max_memory = max_memory
        self._on_failure = on_failure
        self._workers: list[_Worker] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: deque[asyncio.Future[None]] = deque()
        """Those who wait until a worker has room for a request."""
        self._stopping = False

    async def start(self) -> None:
        """Start the processes."""
        self._workers = [await self._spawn() for _ in range(self._size)]

    async def stop(self) -> None:
        """End the processes."""
        self._stopping = True
        workers = list(self._workers)
        for worker in workers:
            worker.close()
        await asyncio.gather(*(_end(worker.process) for worker in workers))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def use(self, keys: Keys) -> None:
        """Use these keys from now on, in every worker."""
        self._keys = keys
        for worker in self._workers:
            worker.send(keys)

    async def render(self, stored: Stored, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        """Render in a worker; after a failure once more without rewriting, and after that not at all."""
        answer = await self._ask(Request(stored, recipients, eight_bit))
        if not isinstance(answer, Failed):
            return answer
        self._on_failure(stored.queue_id, answer.reason)
        reason = f"rendering failed: {answer.reason}"
        plain = await self._ask(Request(replace(stored, tracking=None), recipients, eight_bit))
        if not isinstance(plain, Failed):
            return [replace(one, notes={"skipped": [reason]}) for one in plain]
        return [untouched(stored, recipient, self._keys, reason) for recipient in recipients]

    async def _ask(self, request: Request) -> Sequence[Rendering] | Failed:
        while True:
            answer = await self._ask_once(request)
            if answer is not None:
                return answer

    async def _ask_once(self, request: Request) -> Sequence[Rendering] | Failed | None:
        worker = await self._acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[Rendering] | Failed | None] = loop.create_future()
        worker.pending.append(answer)
        worker.send(request)
        overdue = loop.call_later(self._timeout * len(worker.pending), self._give_up, worker, answer)
        try:
            return await answer
        finally:
            overdue.cancel()
            self._next_turn()

    def _give_up(self, worker: _Worker, answer: "asyncio.Future[Sequence[Rendering] | Failed | None]") -> None:
        _kill(worker.process)
        if not answer.done():
            answer.set_result(Failed(f"no answer within {self._timeout:g} s"))

    async def _acquire(self) -> _Worker:
        """Return the worker with the fewest requests, waiting while all have as many as they may."""
        while True:
            best = min(self._workers, key=lambda worker: len(worker.pending), default=None)
            if best is not None and len(best.pending) < OUTSTANDING:
                return best
            turn = asyncio.get_running_loop().create_future()
            self._turns.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._next_turn()
                raise

    def _next_turn(self) -> None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def _spawn(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *isolated(PROGRAM, serve.__module__, str(theirs.fileno()), str(self._max_memory + BASE_MEMORY)),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                cwd="/",
                env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            )
        worker = _Worker(self._ended)
        worker.process = process
        await asyncio.get_running_loop().create_connection(lambda: worker, sock=ours)
        worker.send(self._keys)
        return worker

    def _ended(self, worker: _Worker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
        task = asyncio.create_task(self._bury(worker))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bury(self, worker: _Worker) -> None:
        """Put another worker in the place of one that ended, and have its requests answered."""
        await _end(worker.process)
        for index, waiting in enumerate(worker.pending):
            if not waiting.done():
                # Only the oldest was being worked on.
                waiting.set_result(Failed("the renderer ended") if index == 0 else None)
        if not self._stopping:
            await self._replace()
        for _ in range(OUTSTANDING):
            self._next_turn()

    async def _replace(self) -> None:
        """Start another worker, however long the system has no room for one."""
        while not self._stopping:
            try:
                worker = await self._spawn()
            except OSError as error:
                self._on_failure("", f"no renderer can be started: {error}")
                await asyncio.sleep(RESPAWN)
            else:
                await self._admit(worker)
                return

    async def _admit(self, worker: _Worker) -> None:
        if not self._stopping:
            self._workers.append(worker)
            return
        worker.close()
        await _end(worker.process)


def make_renderer(section: RenderSection, keys: Keys, on_failure: OnFailure) -> RenderPool | InlineRenderer:
    """Return the renderer that `[render]` asks for."""
    if section.workers == 0:
        return InlineRenderer(keys)
    return RenderPool(
        keys,
        workers=section.workers,
        timeout=section.timeout,
        max_memory=section.max_memory,
        on_failure=on_failure,
    )


def isolated(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a Python program in isolated mode, with the folder of `relay` as first argument.

    Nothing is imported from the working directory, the user's site-packages or PYTHONPATH (CWE-426, CWE-427).
    """
    home = Path(relay.__file__).resolve().parent.parent
    return [sys.executable, "-I", "-c", program, str(home), *arguments]


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the process, which may have ended by itself in the meantime."""
    with suppress(ProcessLookupError):
        process.kill()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait for the process, and kill it when it does not end by itself."""
    try:
        await asyncio.wait_for(process.wait(), 2)
    except TimeoutError:
        _kill(process)
        await process.wait()

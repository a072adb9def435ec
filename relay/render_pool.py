"""The pool of renderer processes: untrusted mail is taken apart where it cannot hurt the relay."""

import asyncio
import pickle
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from relay.config.settings import Render as RenderSection
from relay.render import Keys, Rendering, Stored, render, untouched
from relay.render_worker import LENGTH, Failed, Request, frame

OUTSTANDING = 4
"""Requests a worker may have in its socket, so that it never waits for the next one."""

BASE_MEMORY = 256 * 1024 * 1024
"""Octets of address space a worker needs before it has a message."""

RESPAWN = 1.0
"""Seconds between two tries to start a worker."""

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


@dataclass(slots=True)
class _Worker:
    """One process and the requests it has not answered, oldest first."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    pending: deque["asyncio.Future[Sequence[Rendering] | Failed | None]"] = field(default_factory=deque)
    """An answer of None asks for another try: the worker ended over somebody else's message."""


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
        self._free = asyncio.Condition()
        self._stopping = False

    async def start(self) -> None:
        """Start the processes."""
        self._workers = [await self._spawn() for _ in range(self._size)]

    async def stop(self) -> None:
        """End the processes."""
        self._stopping = True
        for worker in self._workers:
            worker.writer.close()
        for worker in self._workers:
            await _end(worker.process)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def use(self, keys: Keys) -> None:
        """Use these keys from now on, in every worker."""
        self._keys = keys
        for worker in self._workers:
            worker.writer.write(frame(keys))

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
        answer: asyncio.Future[Sequence[Rendering] | Failed | None] = asyncio.get_running_loop().create_future()
        worker.pending.append(answer)
        worker.writer.write(frame(request))
        try:
            return await asyncio.wait_for(asyncio.shield(answer), self._timeout * len(worker.pending))
        except TimeoutError:
            _kill(worker.process)
            return Failed(f"no answer within {self._timeout:g} s")
        finally:
            async with self._free:
                self._free.notify()

    async def _acquire(self) -> _Worker:
        """Return the worker with the fewest requests, waiting while all have as many as they may."""
        async with self._free:
            while True:
                best = min(self._workers, key=lambda worker: len(worker.pending), default=None)
                if best is not None and len(best.pending) < OUTSTANDING:
                    return best
                await self._free.wait()

    async def _spawn(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "relay.render_worker",
                str(theirs.fileno()),
                str(self._max_memory + BASE_MEMORY),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        worker = _Worker(process, reader, writer)
        writer.write(frame(self._keys))
        task = asyncio.create_task(self._listen(worker))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return worker

    async def _listen(self, worker: _Worker) -> None:
        """Pass answers on until the worker ends; then put another in its place."""
        try:
            while True:
                length = int.from_bytes(await worker.reader.readexactly(LENGTH), "big")
                answer = pickle.loads(await worker.reader.readexactly(length))  # noqa: S301 - from our own child
                waiting = worker.pending.popleft()
                if not waiting.done():
                    waiting.set_result(answer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        worker.writer.close()
        await _end(worker.process)
        self._workers.remove(worker)
        for index, waiting in enumerate(worker.pending):
            if not waiting.done():
                # Only the oldest was being worked on.
                waiting.set_result(Failed("the renderer ended") if index == 0 else None)
        if not self._stopping:
            await self._replace()
        async with self._free:
            self._free.notify_all()

    async def _replace(self) -> None:
        """Start another worker, however long the system has no room for one."""
        while not self._stopping:
            try:
                worker = await self._spawn()
            except OSError as error:
                self._on_failure("", f"no renderer can be started: {error}")
                await asyncio.sleep(RESPAWN)
            else:
                self._workers.append(worker)
                return


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

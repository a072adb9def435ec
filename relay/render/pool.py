"""The pool of renderer processes: untrusted mail is taken apart where it cannot hurt the relay."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from relay.config.settings import Render as RenderSection
from relay.domains.keys import Keys
from relay.render.frames import Answer, Failed, Request, keys_for
from relay.render.process import RendererProcess, StartError
from relay.render.render import Rendering, RenderInput, render, render_unmodified, reverse_path_for

OUTSTANDING = 4
"""Requests a renderer may have in its socket, so that it never waits for the next one."""

FIRST_WAIT = 1.0
"""Seconds before the second restart in a row; twice as many before each further one, up to LONGEST_WAIT."""

LONGEST_WAIT = 60.0
"""Seconds between two restarts at most."""

UNAVAILABLE_AFTER = 5
"""Restarts in a row after which a pool without any renderer counts as unavailable."""


class RenderWatch(Protocol):
    """Learns what goes wrong with renderers."""

    def render_failed(self, queue_id: str, reason: str) -> None:
        """A message goes out as it came."""

    def renderer_ended(self, reason: str, wait: float) -> None:
        """A renderer ended or did not start; another one starts after `wait` seconds."""


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

    async def render(self, stored: RenderInput, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        """Render now."""
        return render(stored, recipients, self._keys, eight_bit=eight_bit)


class RenderPool:
    """Renders in processes; a message that crashes, hangs or bloats one goes out as it came.

    While no renderer can be started mail waits, or goes out as it came with `send_unmodified`.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        workers: int,
        timeout: float,
        max_memory: int,
        watch: RenderWatch,
        send_unmodified: bool = False,
    ) -> None:
        self._keys = keys
        self._size = workers
        self._timeout = timeout
        self._max_memory = max_memory
        self._watch = watch
        self._send_unmodified = send_unmodified
        self._renderers: list[RendererProcess] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._failures = 0
        """Restarts since a renderer answered last."""
        self._turns: deque[asyncio.Future[None]] = deque()
        """Those who wait until a renderer has room for a request."""

    async def start(self) -> None:
        """Have the processes started, and started again whenever one ends."""
        self._tasks = [asyncio.create_task(self._keep(), name=f"renderer {number}") for number in range(self._size)]

    async def stop(self) -> None:
        """End the processes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def use(self, keys: Keys) -> None:
        """Use these keys from the next message on."""
        self._keys = keys

    async def render(self, stored: RenderInput, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        """Render in a process; after a failure once more without rewriting, and after that not at all."""
        keys = self._keys
        request = Request(stored, recipients, eight_bit, keys_for(stored, keys))
        answer = await self._ask(request)
        reason = ""
        if isinstance(answer, Failed):
            self._watch.render_failed(stored.queue_id, answer.reason)
            reason = f"rendering failed: {answer.reason}"
            answer = await self._ask(replace(request, stored=replace(stored, tracking=None)))
            if isinstance(answer, Failed):
                return [render_unmodified(stored, recipient, keys, reason) for recipient in recipients]

        return [
            Rendering(
                reverse_path_for(stored, recipient, keys.tokens),
                one.content,
                {"skipped": [reason]} if reason else one.notes,
            )
            for recipient, one in zip(recipients, answer, strict=True)
        ]

    async def _ask(self, request: Request) -> Answer:
        while True:
            answer = await self._ask_once(request)
            if answer is not None:
                return answer

    async def _ask_once(self, request: Request) -> Answer | None:
        renderer = await self._acquire()
        if renderer is None:
            return Failed("no renderer can be started")
        answer = renderer.ask(request)
        overdue = f"no answer within {self._timeout:g} s"
        timer = asyncio.get_running_loop().call_later(self._timeout * renderer.load, renderer.kill, overdue)
        try:
            return await answer
        finally:
            timer.cancel()
            self._next_turn()

    async def _acquire(self) -> RendererProcess | None:
        """Return the renderer with the fewest requests, waiting while all have as many as they may.

        None when there is none and mail is not to wait for it.
        """
        while True:
            best = min(self._renderers, key=lambda renderer: renderer.load, default=None)
            if best is not None and best.load < OUTSTANDING:
                return best
            if best is None and self._send_unmodified and self._failures >= UNAVAILABLE_AFTER:
                return None
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

    def _all_turns(self) -> None:
        for _ in range(len(self._turns)):
            self._next_turn()

    async def _keep(self) -> None:
        """Run one renderer after the other, with growing pauses while none of them answers."""
        while True:
            reason = await self._run_one()
            wait = pause(self._failures)
            self._failures += 1
            self._watch.renderer_ended(reason, wait)
            self._all_turns()
            await asyncio.sleep(wait)

    async def _run_one(self) -> str:
        """Run one renderer to its end; return why it ended."""
        try:
            renderer = await RendererProcess.start(self._max_memory)
        except (OSError, StartError) as error:
            return f"not started: {error}"
        self._renderers.append(renderer)
        self._all_turns()
        try:
            await renderer.ended
        finally:
            self._renderers.remove(renderer)
            await renderer.close()
        if renderer.answers:
            self._failures = 0
        return renderer.how_it_ended()


def pause(failures: int) -> float:
    """Seconds before a restart after that many restarts in a row: none before the first."""
    return min(FIRST_WAIT * 2 ** (min(failures, 32) - 1), LONGEST_WAIT) if failures else 0.0


def make_renderer(section: RenderSection, keys: Keys, watch: RenderWatch) -> RenderPool | InlineRenderer:
    """Return the renderer that `[render]` asks for."""
    if section.workers == 0:
        return InlineRenderer(keys)
    return RenderPool(
        keys,
        workers=section.workers,
        timeout=section.timeout,
        max_memory=section.max_memory,
        watch=watch,
        send_unmodified=section.when_unavailable == "send_unmodified",
    )

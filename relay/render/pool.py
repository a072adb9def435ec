"""The pool of renderer processes: untrusted mail is parsed outside the process of the relay."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from relay.config.settings import Render as RenderSection
from relay.domains.keys import Keys
from relay.render.files import ContentFiles
from relay.render.frames import Answer, Failed, Request, keys_for
from relay.render.process import RendererProcess, StartError
from relay.render.render import RenderedContent, Rendering, RenderInput, render_unmodified, reverse_path_for
from relay.render.renderer import InlineRenderer, MonitoredRenderer, never_down

OUTSTANDING = 4
"""Requests that one renderer may have, at most. More than one, so that it never waits for the next."""

FIRST_WAIT = 1.0
"""Seconds before the second restart in a row. Each further wait is twice as long, up to LONGEST_WAIT."""

LONGEST_WAIT = 60.0
"""Seconds between two restarts, at most."""

UNAVAILABLE_AFTER = 5
"""Restarts in a row after which a pool without a renderer is unavailable."""


class RenderObserver(Protocol):
    """Gets reports of failures of renderers."""

    def render_failed(self, queue_id: str, reason: str) -> None:
        """Rendering failed; the message is sent unmodified."""

    def renderer_ended(self, reason: str, wait: float) -> None:
        """A renderer ended or did not start; another one starts after `wait` seconds."""


class RenderPool(MonitoredRenderer):
    """Renders in worker processes. A message that crashes or hangs one, or fills its memory, is sent unmodified.

    While no renderer can be started, mail waits, or is sent unmodified with `send_unmodified`.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        workers: int,
        timeout: float,
        max_memory: int,
        watch: RenderObserver,
        send_unmodified: bool = False,
        why_down: Callable[[str], str] = never_down,
    ) -> None:
        super().__init__(keys, why_down)
        self._size = workers
        self._timeout = timeout
        self._max_memory = max_memory
        self._watch = watch
        self._send_unmodified = send_unmodified
        self._renderers: list[RendererProcess] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._failures = 0
        """Restarts since the last answer of a renderer."""
        self._waiters: deque[asyncio.Future[None]] = deque()
        """Requests waiting for a renderer with fewer than OUTSTANDING requests."""

    async def start(self) -> None:
        """Start the processes, and restart each one that ends."""
        self._tasks = [
            asyncio.create_task(self._run_forever(), name=f"renderer {number}") for number in range(self._size)
        ]

    async def stop(self) -> None:
        """End the processes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _render(self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        keys = self._keys
        request = Request(message, recipients, eight_bit, keys_for(message.policy, keys))
        answer, reason = await self._request_twice(request, None)
        if answer is None:
            return [render_unmodified(message, recipient, keys, reason) for recipient in recipients]
        return [
            _rendering(message, recipient, keys, one, reason) for recipient, one in zip(recipients, answer, strict=True)
        ]

    async def _render_file(
        self, message: RenderInput, recipient: int, files: ContentFiles, *, eight_bit: bool
    ) -> Rendering:
        keys = self._keys
        request = Request(message, [recipient], eight_bit, keys_for(message.policy, keys), in_files=True)
        answer, reason = await self._request_twice(request, files)
        if answer is not None:
            return _rendering(message, recipient, keys, answer[0], reason)

        files.target.restart()
        whole = replace(message, content=await asyncio.to_thread(files.source.read))
        unmodified = render_unmodified(whole, recipient, keys, reason)
        await asyncio.to_thread(files.target.write, unmodified.content)
        return replace(unmodified, content=b"")

    async def _request_twice(
        self, request: Request, files: ContentFiles | None
    ) -> tuple[Sequence[RenderedContent] | None, str]:
        """Render in a process; after a failure once more without tracking. Return the contents, and the failure.

        The contents are None after the second failure: the message is sent unmodified.
        """
        answer = await self._request(request, files)
        if not isinstance(answer, Failed):
            return answer, ""
        self._watch.render_failed(request.message.queue_id, answer.reason)
        plain = await self._request(replace(request, message=request.message.without_tracking()), files)
        return None if isinstance(plain, Failed) else plain, f"rendering failed: {answer.reason}"

    async def _request(self, request: Request, files: ContentFiles | None) -> Answer:
        while True:
            answer = await self._request_once(request, files)
            if answer is not None:
                return answer

    async def _request_once(self, request: Request, files: ContentFiles | None) -> Answer | None:
        renderer = await self._acquire()
        if renderer is None:
            return Failed("no renderer can be started")

        answer = renderer.send(request, files)
        overdue = f"no answer within {self._timeout:g} s"
        timer = asyncio.get_running_loop().call_later(self._timeout * renderer.load, renderer.kill, overdue)
        try:
            return await answer
        finally:
            timer.cancel()
            self._wake_next()

    async def _acquire(self) -> RendererProcess | None:
        """Return the renderer with the fewest requests. Wait while all have OUTSTANDING requests.

        Return None when the pool is unavailable and mail is to be sent unmodified.
        """
        while True:
            best = min(self._renderers, key=lambda renderer: renderer.load, default=None)
            if best is not None and best.load < OUTSTANDING:
                return best
            if best is None and self._send_unmodified and self._failures >= UNAVAILABLE_AFTER:
                return None

            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                # A cancelled request must not swallow the wake-up of the next one.
                if waiter.done() and not waiter.cancelled():
                    self._wake_next()
                raise

    def _wake_next(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _wake_all(self) -> None:
        for _ in range(len(self._waiters)):
            self._wake_next()

    async def _run_forever(self) -> None:
        """Run one renderer after the other. The waits grow while none of them answers."""
        while True:
            reason = await self._run_one()
            wait = pause(self._failures)
            self._failures += 1
            self._watch.renderer_ended(reason, wait)
            self._wake_all()
            await asyncio.sleep(wait)

    async def _run_one(self) -> str:
        """Run one renderer until it ends. Return the reason."""
        try:
            renderer = await RendererProcess.start(self._max_memory)
        except (OSError, StartError) as error:
            return f"not started: {error}"

        self._renderers.append(renderer)
        self._wake_all()
        try:
            await renderer.ended
        finally:
            self._renderers.remove(renderer)
            await renderer.close()
        if renderer.answers:
            self._failures = 0
        return renderer.exit_reason()


def pause(failures: int) -> float:
    """Return the seconds before a restart, by the number of restarts in a row: 0 for the first."""
    return min(FIRST_WAIT * 2 ** (min(failures, 32) - 1), LONGEST_WAIT) if failures else 0.0


def _rendering(message: RenderInput, recipient: int, keys: Keys, content: RenderedContent, failure: str) -> Rendering:
    notes = {"skipped": [failure]} if failure else content.notes
    return Rendering(reverse_path_for(message, recipient, keys.tokens), content.content, notes)


def make_renderer(
    section: RenderSection, keys: Keys, watch: RenderObserver, why_down: Callable[[str], str]
) -> MonitoredRenderer:
    """Return the renderer that the section `[render]` configures."""
    if section.workers == 0:
        return InlineRenderer(keys, why_down)
    return RenderPool(
        keys,
        workers=section.workers,
        timeout=section.timeout,
        max_memory=section.max_memory,
        watch=watch,
        send_unmodified=section.when_unavailable == "send_unmodified",
        why_down=why_down,
    )

"""The pool of renderer processes: untrusted mail is parsed outside the process of the relay."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from relay.config.settings import Render as RenderSection
from relay.domains.keys import Keys
from relay.render.frames import Answer, Failed, Request, keys_for
from relay.render.process import RendererProcess, StartError
from relay.render.render import Rendering, RenderInput, render, render_unmodified, reverse_path_for

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


def _never_down(_: str) -> str:
    return ""


class MonitoredRenderer(ABC):
    """The interface of the renderers. A message is rendered without tracking while its base URL is down.

    `why_down` returns the reason for a base URL, "" when its links reach the tracker. It is called at every rendering.
    """

    def __init__(self, keys: Keys, why_down: Callable[[str], str] = _never_down) -> None:
        self._keys = keys
        self._why_down = why_down

    def use(self, keys: Keys) -> None:
        """Replace the keys, from the next message on."""
        self._keys = keys

    async def render(self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        """Return one rendering for each recipient (number of an entry)."""
        tracking = message.policy.tracking
        why = self._why_down(tracking.base_url) if tracking is not None else ""
        if not why:
            return await self._render(message, recipients, eight_bit=eight_bit)
        plain = await self._render(message.without_tracking(), recipients, eight_bit=eight_bit)
        return [replace(one, notes=_with_skipped(one.notes, why)) for one in plain]

    @abstractmethod
    async def start(self) -> None:
        """Start the processes, if any."""

    @abstractmethod
    async def stop(self) -> None:
        """End the processes, if any."""

    @abstractmethod
    async def _render(
        self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool
    ) -> Sequence[Rendering]: ...


class InlineRenderer(MonitoredRenderer):
    """Renders in this process: for `render.workers = 0` and for commands."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def _render(self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        return render(message, recipients, self._keys, eight_bit=eight_bit)


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
        why_down: Callable[[str], str] = _never_down,
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
        """Render in a process. After a failure, render once more without tracking, then send unmodified."""
        keys = self._keys
        request = Request(message, recipients, eight_bit, keys_for(message.policy, keys))

        answer = await self._request(request)
        reason = ""
        if isinstance(answer, Failed):
            self._watch.render_failed(message.queue_id, answer.reason)
            reason = f"rendering failed: {answer.reason}"
            answer = await self._request(replace(request, message=message.without_tracking()))
            if isinstance(answer, Failed):
                return [render_unmodified(message, recipient, keys, reason) for recipient in recipients]

        return [
            Rendering(
                reverse_path_for(message, recipient, keys.tokens),
                one.content,
                {"skipped": [reason]} if reason else one.notes,
            )
            for recipient, one in zip(recipients, answer, strict=True)
        ]

    async def _request(self, request: Request) -> Answer:
        while True:
            answer = await self._request_once(request)
            if answer is not None:
                return answer

    async def _request_once(self, request: Request) -> Answer | None:
        renderer = await self._acquire()
        if renderer is None:
            return Failed("no renderer can be started")

        answer = renderer.send(request)
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


def _with_skipped(notes: Mapping[str, object], why: str) -> Mapping[str, object]:
    """Return the notes of a rendering without tracking, with the reason in place of "off"."""
    kept = {key: value for key, value in notes.items() if key not in ("tracking", "skipped")}
    others = notes.get("skipped", ())
    return kept | {"skipped": [why, *(others if isinstance(others, list) else ())]}

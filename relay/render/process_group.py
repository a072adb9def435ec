"""Renderer processes that share the requests: who waits is served in turns of the principals."""

import asyncio
import math
from collections import deque
from typing import Protocol

from relay.clock import steady_clock
from relay.limits.fair_order import FairOrder
from relay.limits.priority import Flow
from relay.render.frames import Answer, Failed, Request
from relay.render.process import RendererProcess, StartError
from relay.render.renderer import ContentFiles
from relay.render.slow_flows import SlowFlows

FIRST_WAIT = 1.0
"""Seconds before the second restart in a row. Each further wait is twice as long, up to MAX_WAIT."""

MAX_WAIT = 60.0
"""Seconds between two restarts, at most."""

_UNIT = 64 * 1024
"""Octets of a content that cost as much as everything else about a rendering."""

CHECK_INTERVAL = 0.25
"""Seconds between two checks of a renderer that may have become slow. A timer a request would cost more."""

UNAVAILABLE_AFTER = 5
"""Restarts in a row after which a pool without a renderer is unavailable."""


class RenderObserver(Protocol):
    """Gets reports of failures of renderers."""

    def render_failed(self, queue_id: str, reason: str) -> None:
        """Rendering failed; the message is sent unmodified."""

    def renderer_ended(self, reason: str, wait: float) -> None:
        """A renderer ended or did not start; another one starts after `wait` seconds."""


class ProcessGroup:
    """Some renderer processes. Each one that ends is replaced."""

    def __init__(
        self,
        *,
        size: int,
        outstanding: int,
        timeout: float,
        max_memory: int,
        watch: RenderObserver,
        send_unmodified: bool,
        most_cpu: float = math.inf,
        slow: SlowFlows | None = None,
    ) -> None:
        """`outstanding` is the number of requests that one process may have, `most_cpu` the CPU seconds of each.

        Requests of `slow` flows are left out, and those that end a process are noted there.
        """
        self.size = size
        self.renderers: list[RendererProcess] = []
        self._outstanding = outstanding
        self._timeout = timeout
        self._max_memory = max_memory
        self._most_cpu = most_cpu
        self._slow = slow
        self._watch = watch
        self._send_unmodified = send_unmodified
        self._tasks: list[asyncio.Task[None]] = []
        self._failures = 0
        """Restarts since the last answer of a renderer."""
        self._waiters: dict[Flow, deque[asyncio.Future[None]]] = {}
        """Requests waiting for a renderer with fewer than `outstanding` requests."""
        self._order = FairOrder()

    def start(self) -> None:
        """Start the processes, unless they are running. Restart each one that ends."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._run_forever(), name=f"renderer {number}") for number in range(self.size)
            ]

    async def stop(self) -> None:
        """End the processes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def request(self, request: Request, files: ContentFiles | None) -> Answer | None:
        """Render in a process, in the turn of the flow. A request whose renderer ended at another one is repeated.

        None if the flow is a slow one, now or when its turn comes.
        """
        flow, answer = request.message.flow, None
        size = len(request.message.content) if files is None else len(files.source)
        while answer is None and not self._leaves_out(flow):
            while (renderer := self._free()) is None:
                if not self.renderers and self._send_unmodified and self._failures >= UNAVAILABLE_AFTER:
                    return Failed("no renderer can be started")
                await self._turn(flow)
                if self._leaves_out(flow):
                    self._wake_next()
                    return None

            self._order.serve(flow, 1.0 + size / _UNIT)
            try:
                answer = await renderer.send(request, files, self._timeout)
            finally:
                self._wake_next()
            if self._slow is not None and isinstance(answer, Failed) and answer.ended:
                self._slow.add(flow, steady_clock())
        return answer

    def _leaves_out(self, flow: Flow) -> bool:
        return self._slow is not None and self._slow.holds(flow, steady_clock())

    def _free(self) -> RendererProcess | None:
        """Return the renderer with the fewest requests, None if all have as many as they may."""
        best, least = None, self._outstanding
        for renderer in self.renderers:
            if (load := renderer.load) < least:
                best, least = renderer, load
        return best

    async def _turn(self, flow: Flow) -> None:
        """Wait until a renderer may be free."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(flow, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            # A cancelled request must not swallow the wake-up of the next one.
            if waiter.done() and not waiter.cancelled():
                self._wake_next()
            raise

    def _wake_next(self) -> None:
        """Wake the first request of the flow whose turn it is."""
        while self._waiters:
            flow = self._order.order(self._waiters)[0]
            waiter = self._waiters[flow].popleft()
            if not self._waiters[flow]:
                del self._waiters[flow]
            if not waiter.done():
                waiter.set_result(None)
                return

    def _wake_all(self) -> None:
        for _ in range(sum(map(len, self._waiters.values()))):
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
            renderer = await RendererProcess.start(self._max_memory, math.ceil(self._timeout * self._outstanding))
        except (OSError, StartError) as error:
            return f"not started: {error}"

        self.renderers.append(renderer)
        self._wake_all()
        watching = asyncio.create_task(self._end_when_stuck(renderer), name="stuck renderer")
        try:
            await renderer.ended
        finally:
            watching.cancel()
            self.renderers.remove(renderer)
            await renderer.close()
        if renderer.answers:
            self._failures = 0
        return renderer.exit_reason()

    async def _end_when_stuck(self, renderer: RendererProcess) -> None:
        """Kill a renderer with an overdue answer, or one that uses too much CPU time for one request.

        Time alone proves little on a busy machine: an answer is overdue much later.
        """
        answers, spent = -1, 0.0
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            if renderer.is_overdue(steady_clock()):
                renderer.kill(f"no answer within {self._timeout:g} s")
                return
            if not renderer.load or self._most_cpu == math.inf:
                continue
            if renderer.answers != answers:
                answers, spent = renderer.answers, renderer.cpu_seconds()
            elif renderer.cpu_seconds() - spent > self._most_cpu:
                renderer.kill(f"no answer within {self._most_cpu:g} s of CPU time")
                return


def pause(failures: int) -> float:
    """Return the seconds before a restart, by the number of restarts in a row: 0 for the first."""
    return min(FIRST_WAIT * 2 ** (min(failures, 32) - 1), MAX_WAIT) if failures else 0.0

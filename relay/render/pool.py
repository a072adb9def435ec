"""The pool of renderer processes: untrusted mail is parsed outside the process of the relay."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from relay.clock import steady_clock
from relay.config.settings import Render as RenderSection
from relay.domains.relay_keys import Keys
from relay.render.failed_contents import FailedContents, key_of
from relay.render.frames import Answer, Failed, Request, keys_for
from relay.render.message import RenderedContent, Rendering, RenderInput, render_unmodified, reverse_path_for
from relay.render.process_group import ProcessGroup, RenderObserver
from relay.render.renderer import ContentFiles, MonitoredRenderer, never_down
from relay.render.slow_flows import SlowFlows

OUTSTANDING = 4
"""Requests that one renderer may have, at most. More than one, so that it never waits for the next."""

MAX_CPU = 0.5
"""Seconds of CPU time of one message in the renderers of all. A usual message takes a thousandth."""


class RenderPool(MonitoredRenderer):
    """Renders in worker processes. A message that crashes or hangs one, or fills its memory, is sent unmodified.

    Large messages have a process of their own, which starts with the first one. They delay no other, and only one of
    them is in the memory of a renderer. So have messages that take long or end a renderer, and for a while all of their
    authors. Each of them takes a renderer from the others once, for less than a second.
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
        self._watch = watch
        self._failed = FailedContents()
        self._slow = SlowFlows()
        processes = partial(
            ProcessGroup, timeout=timeout, max_memory=max_memory, watch=watch, send_unmodified=send_unmodified
        )
        self.workers = processes(size=workers, outstanding=OUTSTANDING, most_cpu=MAX_CPU, slow=self._slow)
        self.slow_worker = processes(size=1, outstanding=OUTSTANDING)
        self.large_worker = processes(size=1, outstanding=1)

    async def start(self) -> None:
        """Start the processes, and restart each one that ends."""
        self.workers.start()

    async def stop(self) -> None:
        """End the processes."""
        await self.workers.stop()
        await self.slow_worker.stop()
        await self.large_worker.stop()

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
        self.large_worker.start()
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
        answer = await self._request_unless_failed(request, files, tracked=True)
        if not isinstance(answer, Failed):
            return answer, ""
        plain = replace(request, message=request.message.without_tracking())
        again = await self._request_unless_failed(plain, files, tracked=False)
        return None if isinstance(again, Failed) else again, f"rendering failed: {answer.reason}"

    async def _request_unless_failed(self, request: Request, files: ContentFiles | None, *, tracked: bool) -> Answer:
        """Render in a process, unless the content has failed too often. Failures are remembered.

        It is the process for large messages, one of those for all, or that of slow flows.
        """
        key = b""
        if len(self._failed):
            key = await _key(request, files)
            if reason := self._failed.reason(key, tracked=tracked):
                return Failed(reason)

        workers = self.workers if files is None else self.large_worker
        answer = await workers.request(request, files)
        if files is None and (answer is None or (isinstance(answer, Failed) and answer.ended)):
            answer = await self._request_slow(request)
        assert answer is not None, "the processes for slow and for large messages leave no flow out"
        if isinstance(answer, Failed):
            self._failed.add(key or await _key(request, files), answer.reason, tracked=tracked)
            if tracked:
                self._watch.render_failed(request.message.queue_id, answer.reason)
        return answer

    async def _request_slow(self, request: Request) -> Answer | None:
        """Render in the process of slow flows."""
        self.slow_worker.start()
        answer = await self.slow_worker.request(request, None)
        if isinstance(answer, Failed) and answer.ended:
            self._slow.add(request.message.flow, steady_clock())
        return answer


async def _key(request: Request, files: ContentFiles | None) -> bytes:
    if files is None:
        return key_of(request.message.content)
    return key_of(await asyncio.to_thread(files.source.read))


def _rendering(message: RenderInput, recipient: int, keys: Keys, content: RenderedContent, failure: str) -> Rendering:
    notes = {"skipped": [failure]} if failure else content.notes
    return Rendering(reverse_path_for(message, recipient, keys.tokens), content.content, notes)


def make_renderer(
    section: RenderSection, keys: Keys, watch: RenderObserver, why_down: Callable[[str], str]
) -> MonitoredRenderer:
    """Return the renderer that the section `[render]` configures."""
    if section.workers == 0:
        from relay.render.inline_renderer import (
            InlineRenderer,  # Not at the top: it loads what rewrites, as renderers do.
        )

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

"""Renders and delivers the entries of one transaction, and counts the octets that this keeps in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from relay.content_file import LARGE, Content, ContentFile, ContentWriter
from relay.mail.reply import Reply
from relay.policy.dialect_rules import policy_at
from relay.queue.context import INTERNAL_ERROR, ErrorBoundary, QueueContext
from relay.queue.large_contents import LargeContents
from relay.queue.message import ClaimedBatch
from relay.queue.outcome import Deferred, Outcome
from relay.queue.ports import DeliveryJob, Rendered
from relay.queue.refcounted import RefCounted
from relay.queue.routing import provider_of
from relay.queue.site import Site
from relay.queue.site_traffic import Permit
from relay.render.message import Rendering, RenderInput
from relay.render.renderer import ContentFiles

Made = tuple[Rendering, Content]
"""A rendering, and its content, which is in a file if it is large."""

_RenderingKey = tuple[str, str, bool]
"""Queue id, provider, and whether the server accepts 8-bit content."""


class Transmitter:
    """Transmits messages. `folder` holds the files of large contents."""

    def __init__(self, context: QueueContext, folder: Path) -> None:
        self._context = context
        self._folder = folder
        self._large = LargeContents(context, folder)
        self._renderings: RefCounted[_RenderingKey, Made] = RefCounted(_close)
        self.in_memory = 0
        """Octets of renderings in memory."""

    async def transmit(
        self, claimed: ClaimedBatch, notes: dict[str, object], permit: Permit | None
    ) -> Sequence[Outcome] | str:
        """Return one outcome for each entry, or the damage of the content. Notes of the rendering are added to `notes`.

        There is no outcome if the site accepts no message now. An exception is a temporary failure of all entries.
        """
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            if isinstance(claimed.content, bytes):
                return await self._deliver(claimed, claimed.content, notes, permit)
            try:
                async with self._large.open(claimed) as content:
                    if isinstance(content, str):
                        return content
                    return await self._deliver(claimed, content, notes, permit)
            except OSError as error:
                reply = Reply(451, "4.3.1", f"The content could not be copied to a file: {error.strerror}")
                return [Deferred(reply)] * len(claimed.entries)
        return [INTERNAL_ERROR] * len(claimed.entries)

    async def _deliver(
        self, claimed: ClaimedBatch, content: Content, notes: dict[str, object], permit: Permit | None
    ) -> Sequence[Outcome]:
        lane, context = claimed.entries[0].lane, self._context
        is_held = partial(context.store.holds, claimed.entries)

        def admit(site: Site) -> bool:
            return is_held() and context.rates.admit(lane, site, permit, context.clock())

        used: list[tuple[_RenderingKey | None, Content]] = []
        rendering = self._rendering(claimed, content, notes, used)
        try:
            job = DeliveryJob(claimed.message, claimed.entries, rendering, admit, is_held)
            return await context.delivery.deliver(lane, job)
        finally:
            for key, made in used:
                self.in_memory -= _octets(made)
                if key is None:
                    _close_content(made)
                else:
                    self._renderings.release(key)

    def _rendering(
        self,
        claimed: ClaimedBatch,
        content: Content,
        notes: dict[str, object],
        used: list[tuple[_RenderingKey | None, Content]],
    ) -> Callable[[bool], Awaitable[Rendered]]:
        """Return the function that renders. Delivery calls it when it has the extensions of the server.

        Lanes that get the same octets share one rendering, with a key. It is added to `used`.
        """
        is_shared = not claimed.message.policy.is_per_recipient

        async def rendered(eight_bit: bool) -> Rendered:
            key: _RenderingKey | None = None
            if is_shared:
                key = claimed.message.queue_id, provider_of(claimed.entries[0].lane), eight_bit
                rendering, made = await self._renderings.acquire(key, partial(self._make, claimed, content, eight_bit))
            else:
                rendering, made = await self._make(claimed, content, eight_bit)
            self.in_memory += _octets(made)
            used.append((key, made))
            notes.update(rendering.notes)
            return Rendered(rendering.reverse_path, made)

        return rendered

    async def _make(self, claimed: ClaimedBatch, content: Content, eight_bit: bool) -> Made:
        """Render the content. A large rendering is in a file."""
        message, number, flow = claimed.message, claimed.entries[0].number, claimed.entries[0].flow
        provider = message.policy.would_leave_by or provider_of(claimed.entries[0].lane)
        policy = policy_at(self._context.settings(), message.policy, provider)
        if isinstance(content, bytes):
            given = RenderInput(message.queue_id, message.created_at, message.reverse_path, content, policy, flow)
            (rendering,) = await self._context.renderer.render(given, [number], eight_bit=eight_bit)
            if len(rendering.content) <= LARGE:
                return rendering, rendering.content
            return rendering, await asyncio.to_thread(ContentFile.of, rendering.content, self._folder)

        given = RenderInput(message.queue_id, message.created_at, message.reverse_path, b"", policy, flow)
        files = ContentFiles(content, await asyncio.to_thread(ContentWriter, self._folder))
        try:
            rendering = await self._context.renderer.render_file(given, number, files, eight_bit=eight_bit)
        except BaseException:
            files.target.discard()
            raise
        return rendering, await asyncio.to_thread(files.target.finish)


def _close(made: Made) -> None:
    _close_content(made[1])


def _close_content(content: Content) -> None:
    if isinstance(content, ContentFile):
        content.close()


def _octets(content: Content) -> int:
    """Return the octets of a content that are in memory."""
    return len(content) if isinstance(content, bytes) else 0

"""Contents that were not claimed with their entries: read into files, within a budget, when the message is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import fdopen
from pathlib import Path

from relay.content_file import ContentFile, ContentWriter
from relay.queue.context import QueueContext, retry_store
from relay.queue.message import ClaimedBatch
from relay.queue.octet_budget import OctetBudget
from relay.queue.refcounted import RefCounted

MAX_OCTETS = 1024 * 1024 * 1024
"""Octets of all files of contents and renderings, at most; more for a single message that is larger."""

RESERVE = MAX_OCTETS // 4
"""Octets beyond these for parties, lanes and messages that have no file."""

_COPIES = 2
"""Files of one transaction: the stored content, and its rendering."""

_PRINCIPAL, _LANE, _MESSAGE = 1.0, 0.5, 0.5
"""Factors of the shares: one principal alone may hold half of the octets, a lane or a message a third."""


class LargeContents:
    """Opens the contents of claimed batches. The lanes of one message share a file."""

    def __init__(self, context: QueueContext, folder: Path) -> None:
        self._context = context
        self._folder = folder
        self._budget = OctetBudget(MAX_OCTETS, RESERVE)
        self._files: RefCounted[str, ContentFile | str] = RefCounted(_close)

    @asynccontextmanager
    async def open(self, claimed: ClaimedBatch) -> AsyncIterator[ContentFile | str]:
        """Open the content of a batch, or return its damage. Wait until its flow has its turn.

        Raises OSError when the file cannot be written.
        """
        queue_id, lane, flow = claimed.message.queue_id, claimed.entries[0].lane, claimed.entries[0].flow
        parties = {f"principal {flow.accountable}": _PRINCIPAL, f"lane {lane}": _LANE, f"message {queue_id}": _MESSAGE}
        async with self._budget.hold(_COPIES * len(claimed.content), flow, parties):
            content = await self._files.acquire(queue_id, lambda: self._read(queue_id))
            try:
                yield content
            finally:
                self._files.release(queue_id)

    async def _read(self, queue_id: str) -> ContentFile | str:
        """Copy a content from the store to a file, or return its damage."""
        writer = await asyncio.to_thread(ContentWriter, self._folder)
        try:
            with fdopen(writer.fd, "wb", buffering=0, closefd=False) as file:
                damage = await retry_store(self._context, lambda: self._context.store.copy_content(queue_id, file))
        except BaseException:
            writer.discard()
            raise
        if damage:
            writer.discard()
            return damage
        return await asyncio.to_thread(writer.finish)


def _close(content: ContentFile | str) -> None:
    if isinstance(content, ContentFile):
        content.close()

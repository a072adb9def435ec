"""Stores the content of a message as it arrives: in memory while small, else in an unnamed file."""

import asyncio
import tempfile
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Self

from relay.mail.reply import Reply
from relay.submission.content_replies import HAS_NUL, STORAGE_FULL, too_large

MIB = 1024 * 1024

_WRITE_SIZE = 256 * 1024
"""Octets per write to the file."""

_SMALL_SIZE = 64 * 1024
"""Octets a body may keep in memory while the pool exceeds its memory."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Limits in octets."""

    body_memory: int = 1 * MIB
    """Memory of one body."""
    memory: int = 64 * MIB
    """Memory of all bodies."""
    received: int = 8192 * MIB
    """Received content of all bodies."""
    handed_over: int = 64 * MIB
    """Content passed to handlers at the same time."""

    def half(self) -> Self:
        """Return limits half as large for all bodies together."""
        return replace(self, memory=self.memory // 2, received=self.received // 2, handed_over=self.handed_over // 2)


class BodyPool:
    """Memory and disk limits of the bodies of one kind of listener. `folder` contains the unnamed files."""

    def __init__(self, folder: Path, limits: BodyLimits | None = None) -> None:
        self.folder = folder
        self.limits = limits or BodyLimits()
        self.received = 0
        self.in_memory = 0
        self.handed_over = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire_memory(self, size: int) -> None:
        """Wait, first come first served, until a body of that size may be in memory; `release_memory` ends it."""
        if self._waiting or not self._fits(size):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self.release_memory(size)
                raise
        else:
            self.handed_over += size

    def release_memory(self, size: int) -> None:
        """Give the memory of a body back, for those that wait."""
        self.handed_over -= size
        self._resume_waiting()

    def _fits(self, size: int) -> bool:
        return self.handed_over == 0 or self.handed_over + size <= self.limits.handed_over

    def _resume_waiting(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.handed_over += size
                turn.set_result(None)


class Body:
    """Content of one message. An error is stored in `fault`; later writes are ignored."""

    def __init__(self, pool: BodyPool, limit: int, *, refuse_nul: bool) -> None:
        self.size = 0
        self.fault: Reply | None = None
        self._pool = pool
        self._limit = limit
        self._refuse_nul = refuse_nul
        self._blocks: list[bytes] = []
        self._in_memory = 0
        self._file: BinaryIO | None = None

    async def write(self, block: bytes) -> None:
        """Add a block of decoded content."""
        if self.fault is not None or not block:
            return
        if self.size + len(block) > self._limit:
            self._fail(too_large(self._limit))
        elif self._refuse_nul and b"\0" in block:
            self._fail(HAS_NUL)
        elif self._pool.received + len(block) > self._pool.limits.received:
            self._fail(STORAGE_FULL)
        else:
            self._blocks.append(block)
            self._account(len(block), len(block))
            if self._in_memory > self._memory_allowed():
                await self._spool()

    async def content(self) -> bytes | Reply:
        """Return the content, or the fault. Raises OSError if the file cannot be read."""
        if self._file is not None:
            await self._spool()
        if self.fault is not None:
            return self.fault
        if self._file is not None:
            return await asyncio.to_thread(_read_all, self._file)
        whole = b"".join(self._blocks)
        self._blocks = [whole]
        return whole

    def close(self) -> None:
        """Release memory and file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._account(-self.size, -self._in_memory)
        self._blocks = []

    def _memory_allowed(self) -> int:
        limits = self._pool.limits
        if self._file is not None:
            return min(_WRITE_SIZE, limits.body_memory)
        return limits.body_memory if self._pool.in_memory <= limits.memory else min(_SMALL_SIZE, limits.body_memory)

    async def _spool(self) -> None:
        block = b"".join(self._blocks)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._pool.folder)  # noqa: SIM115 - close() closes it
            await asyncio.to_thread(_write, self._file, block)
        except OSError:
            self._fail(STORAGE_FULL)
        else:
            self._blocks = []
            self._account(0, -self._in_memory)

    def _fail(self, fault: Reply) -> None:
        self.fault = fault
        self.close()

    def _account(self, received: int, in_memory: int) -> None:
        self.size += received
        self._pool.received += received
        self._in_memory += in_memory
        self._pool.in_memory += in_memory


def _write(file: BinaryIO, block: bytes) -> None:
    file.write(block)
    file.flush()


def _read_all(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()

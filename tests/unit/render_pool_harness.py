"""A pool of renderers whose processes a test finds, and programs in the place of a renderer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from relay.domains.relay_keys import Keys
from relay.mail.queue_id import queue_id
from relay.render import process as render_process
from relay.render.message import RenderInput
from relay.render.message_policy import MessagePolicy
from relay.render.pool import RenderPool
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import Keyring
from tests.servers.waiting import PATIENCE

RING = Keyring((("k1", b"k" * 32),))
KEYS = Keys(RING)
TRACKING = Tracking(base_url="https://t.acme.test")
CONTENT = (
    b"From: a@acme.test\r\nSubject: hello\r\nContent-Type: text/html\r\n\r\n"
    b'<html><body><a href="https://shop.test/">x</a></body></html>\r\n'
)
POLICY = MessagePolicy("acme.test", tracking=TRACKING)

STORED = RenderInput(queue_id(1_700_000_000.0, 1), 1_700_000_000.0, "app@acme.test", CONTENT, POLICY)
BLOAT = replace(STORED, content=CONTENT + b"<p>x</p>\r\n" * 7_000_000)


class Pool(RenderPool):
    """A pool whose processes can be found, and that keeps what failed."""

    def __init__(self, *, workers: int = 1, timeout: float = 10.0, max_memory: int = 64 << 20, **more: Any) -> None:
        self.failures: list[tuple[str, str]] = []
        self.restarts: list[tuple[str, float]] = []
        super().__init__(KEYS, workers=workers, timeout=timeout, max_memory=max_memory, watch=self, **more)

    def render_failed(self, queue_id: str, reason: str) -> None:
        self.failures.append((queue_id, reason))

    def renderer_ended(self, reason: str, wait: float) -> None:
        self.restarts.append((reason, wait))

    @property
    def pids(self) -> list[int]:
        return [renderer.process.pid for renderer in self.workers.renderers]

    def answers_outstanding(self) -> int:
        return sum(renderer.load for renderer in self.workers.renderers)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def pool(**options: Any) -> AsyncIterator[Pool]:
    started = Pool(**options)
    await started.start()
    await started.until(lambda: len(started.pids) == started.workers.size)
    try:
        yield started
    finally:
        await started.stop()


def program(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Have renderers run another program; `fd` is their socket."""
    head = "import json, os, socket, sys\nfd = int(sys.argv[3])\nsock = socket.socket(fileno=fd)\n"
    monkeypatch.setattr(render_process, "PROGRAM", head + text)

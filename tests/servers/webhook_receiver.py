"""A receiver of webhooks on loopback, which keeps what it is given and answers what a test says."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.servers.waiting import PATIENCE


@dataclass(frozen=True, slots=True)
class Posted:
    """One post as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    host: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers.get("webhook-id", "")


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer. `wait` is in seconds; `reset` closes the connection without an answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    wait: float = 0.0
    reset: bool = False


class Receiver:
    """Answers with `next` one after the other, then by `rule`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.posts: list[Posted] = []
        self.next: deque[Reply] = deque()
        self.rule: Callable[[Posted], Reply] = lambda _: Reply()
        self.port = 0
        self.most_at_once = 0
        self._at_once = 0
        self._tls = tls
        self._arrived = asyncio.Condition()
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hook"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            posted = Posted(request.path_qs, dict(request.headers), await request.read(), request.host)
            reply = self.next.popleft() if self.next else self.rule(posted)
            async with self._arrived:
                self.posts.append(posted)
                self._arrived.notify_all()
            if reply.wait:
                await asyncio.sleep(reply.wait)
            if reply.reset:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=reply.status, headers=dict(reply.headers), text=reply.text)
        finally:
            self._at_once -= 1

    async def wait_for(self, count: int) -> list[Posted]:
        """Return the posts once there are that many."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.posts) >= count)
        return self.posts

    def types(self) -> list[str]:
        """Return the types of the posts in the format standard."""
        return [post.json["type"] for post in self.posts]

"""The TCP listeners of dashboard and metrics: a flood of connections does not use up the files of the process."""

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web

from relay.admin import server as server_module
from relay.admin.server import AdminServer, metrics_application
from relay.listening_sockets import listen
from tests.servers.waiting import PATIENCE
from tests.unit.admin_harness import exposition

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_for_one_connection_too_many_the_oldest_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 3)
    server = AdminServer(metrics_application(exposition, dict))
    await server.start_tcp(await listen(("127.0.0.1",), 0))
    async with asyncio.timeout(PATIENCE):
        silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        with suppress(ConnectionResetError):
            assert await silent[0][0].read(1) == b""
        silent[1][1].write(REQUEST)
        assert (await silent[1][0].readline()).startswith(b"HTTP/1.1 200")

        for _, one in (*silent, (reader, writer)):
            one.close()
        await server.stop()


async def test_clients_without_a_login_end_no_request_that_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 2)
    began, ends = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        began.set()
        await ends.wait()
        return web.Response(text="done")

    app = web.Application()
    app.router.add_get("/slow", slow)
    server = AdminServer(app, lambda request: "Authorization" in request.headers)
    await server.start_tcp(await listen(("127.0.0.1",), 0))
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\nAuthorization: y\r\n\r\n")
        await began.wait()
        silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(5)]
        for one, _ in silent[:-1]:
            with suppress(ConnectionResetError):
                assert await one.read(1) == b"", "the oldest stranger is closed"
        ends.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        for closing in (*(other for _, other in silent), writer):
            closing.close()
        await server.stop()

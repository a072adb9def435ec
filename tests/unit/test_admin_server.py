"""The TCP listeners of dashboard and metrics: a flood of connections does not use up the files of the process."""

import asyncio
from contextlib import suppress

import pytest

from relay.admin import server as server_module
from relay.admin.server import AdminServer, metrics_application
from tests.servers.waiting import PATIENCE
from tests.unit.admin_harness import exposition

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_for_one_connection_too_many_the_oldest_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 3)
    server = AdminServer(metrics_application(exposition, dict))
    await server.start_tcp(("127.0.0.1",), 0)
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

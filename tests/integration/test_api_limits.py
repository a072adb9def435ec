"""Limits of the HTTP API on the wire: requests a minute, sizes, slow bodies, and the memory of many large ones."""

import asyncio
import io
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from relay.admin.server import AdminServer
from relay.api import request_bodies
from relay.api.access import CALLER, Access, Caller
from relay.api.request_bodies import MEMORY, BodyMemory
from relay.api.server import api_application
from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from relay.config.settings import Settings
from relay.listening_sockets import listen
from tests.contract.values import NOW
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE, until

KEY = new_key("app", bytes(range(32)))

LOGIN = {"Authorization": f"Basic {b64encode(f'app:{KEY}'.encode()).decode()}"}

MAX_SIZE = 20_000_000


def configuration(port: int, per_minute: int = 100_000) -> str:
    return f"""
[api]
address = "127.0.0.1:{port}"
requests_per_minute = {per_minute}
[limits]
max_message_size = {MAX_SIZE}
[credentials.app]
secret_hash = "{hash_secret(KEY, bytes(16))}"
scopes = ["send", "read", "suppressions"]
[domains."acme.test"]
"""


async def head(port: int, path: str, length: int, kind: str = "application/json") -> tuple[Any, asyncio.StreamWriter]:
    """Open a connection and send the head of a POST with a body of that length."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: api.test",
        *(f"{k}: {v}" for k, v in LOGIN.items()),
        f"X-Postmark-Server-Token: {KEY}",
    ]
    writer.write("\r\n".join([*lines, f"Content-Type: {kind}", f"Content-Length: {length}", "", ""]).encode())
    await writer.drain()
    return reader, writer


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    """Read one answer: status, header fields by lower-case name, and the JSON."""
    async with asyncio.timeout(PATIENCE):
        status = int((await reader.readline()).split()[1])
        fields: dict[str, str] = {}
        while line := (await reader.readline()).decode().strip():
            name, _, value = line.partition(": ")
            fields[name.lower()] = value
        return status, fields, json.loads(await reader.readexactly(int(fields["content-length"])))


async def test_requests_above_the_rate_are_refused_with_a_time(tmp_path: Path) -> None:
    port = free_port()
    statuses = []
    async with (
        Sink() as sink,
        RelayProcess(tmp_path, sink.port, configuration(port, per_minute=10)),
        aiohttp.ClientSession(headers=LOGIN) as client,
    ):
        for path in ("/api/v1/messages", "/v3/acme.test/events"):
            for _ in range(7):
                async with client.get(f"http://127.0.0.1:{port}{path}") as answer:
                    statuses.append(answer.status)
                    found, fields = await answer.json(content_type=None), answer.headers
    assert statuses[:10] == [200] * 10
    assert set(statuses[10:]) <= {200, 429}
    assert statuses.count(429) >= 2
    assert "api.requests_per_minute" in found["message"]
    assert 1 <= int(fields["Retry-After"]) <= 6


@pytest.mark.parametrize(
    ("path", "limit", "member"),
    [
        ("/api/v1/messages", MAX_SIZE * 3 // 2 + (64 << 10), "detail"),
        ("/api/v1/messages/batch", MAX_SIZE * 3 // 2 + (64 << 10), "detail"),
        ("/api/v1/suppressions", 1 << 20, "detail"),
        ("/v3/acme.test/messages", MAX_SIZE * 3 // 2 + (1 << 20), "message"),
        ("/v3/acme.test/bounces", 1 << 20, "message"),
        ("/email", MAX_SIZE * 3 // 2 + (1 << 20), "Message"),
    ],
)
async def test_a_body_above_the_size_is_refused(relay_port: int, path: str, limit: int, member: str) -> None:
    reader, writer = await head(relay_port, path, limit + 1)
    if path == "/api/v1/suppressions":
        writer.write(b" " * (limit + 1))  # The size is seen while it is read.
    status, _, found = await answer_of(reader)
    writer.close()
    assert (status, member in found) == (413, True), found


@pytest.fixture
async def relay_port(tmp_path: Path) -> AsyncIterator[int]:
    port = free_port()
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, configuration(port)):
        yield port


async def test_many_large_bodies_stay_within_the_memory_and_the_rest_is_refused(tmp_path: Path) -> None:
    port, size, count = free_port(), 25_000_000, 20
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, configuration(port)) as relay:
        assert relay.process is not None
        before = resident(relay.process.pid)
        opened = [await head(port, "/api/v1/messages", size) for _ in range(count)]

        async def fill(writer: asyncio.StreamWriter) -> None:
            try:
                for _ in range(size // 100_000 - 1):  # The last block is kept back, so that no body is complete.
                    writer.write(b" " * 100_000)
                    await writer.drain()
            except ConnectionError:
                pass  # A refused connection is closed.

        sending = [asyncio.create_task(fill(writer)) for _, writer in opened]
        refused = [asyncio.create_task(answer_of(reader)) for reader, _ in opened]
        fit = MEMORY // size  # At most: one credential has half of it.
        await until(lambda: sum(one.done() for one in refused) >= count - fit - 1)
        answers = [one.result() for one in refused if one.done() and not one.exception()]
        assert {status for status, _, _ in answers} == {503}
        assert all("memory" in found["detail"] and "retry-after" in fields for _, fields, found in answers)
        assert resident(relay.process.pid) - before < MEMORY + (96 << 20)
        for task in (*sending, *refused):
            task.cancel()
        await asyncio.gather(*sending, *refused, return_exceptions=True)
        for _, writer in opened:
            writer.close()

        async def is_free() -> bool:
            mail = {"from": "a@acme.test", "to": ["b@reader.test"], "text": "x" * 10_000_000}
            url, kind = f"http://127.0.0.1:{port}/api/v1/messages", {"Content-Type": "application/json"}
            body = io.BytesIO(json.dumps(mail).encode())
            async with aiohttp.ClientSession(headers=LOGIN | kind) as client, client.post(url, data=body) as answer:
                return answer.status == 202

        await until(is_free)


def resident(pid: int) -> int:
    """Return the octets of memory that a process has."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


async def test_a_body_that_stops_is_ended_and_its_memory_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_bodies, "IDLE_TIME", 0.05)
    memory = BodyMemory()

    async def handler(request: web.Request) -> web.Response:
        request[CALLER] = Caller("app")
        async with memory.body(request, 1000) as body:
            return web.json_response({"size": len(body)})

    settings = Settings.model_validate({"server": {"hostname": "relay.test"}})

    async def authenticate(*_: object) -> str:
        return "app"

    app = api_application(Access(lambda: settings, authenticate, lambda: NOW), [])
    app.router.add_post("/slow", handler)
    server = AdminServer(app)
    await server.start_tcp(await listen(("127.0.0.1",), 0))
    try:
        reader, writer = await head(server.port, "/slow", 100)
        writer.write(b"x" * 50)
        status, _, found = await answer_of(reader)
        assert (status, "did not arrive" in found["detail"]) == (408, True)
        writer.close()
        assert memory.used == 0
        reader, writer = await head(server.port, "/slow", 100)
        writer.write(b"x" * 100)
        assert (await answer_of(reader))[::2] == (200, {"size": 100})
        writer.close()
    finally:
        await server.stop()

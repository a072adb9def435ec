"""One credential takes a part of the API: streams, requests at once and memory of bodies. The others go on."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from relay.api.access import AT_ONCE
from relay.api.events import MAX_STREAMS_EACH
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.api_client import ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]

STREAM = "GET /api/v1/events?after=now HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"

MAIL = {"from": "shop@acme.test", "to": ["ada@reader.test"], "subject": "x", "text": "Hello"}


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    number, secret = free_port(), hash_secret("secret", b"s" * 16)
    more = f'[api]\naddress = "127.0.0.1:{number}"\n[limits]\nmax_message_size = "1MiB"\n' + "".join(
        f'[credentials.{name}]\nsecret_hash = "{secret}"\nscopes = ["send", "read"]\n' for name in ("greedy", "other")
    )
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, more):
        yield number


@asynccontextmanager
async def asked(port: int, text: str, name: str = "") -> AsyncIterator[Pair]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    login = f"Authorization: Basic {b64encode(f'{name}:secret'.encode()).decode()}\r\n" if name else ""
    writer.write(f"{text}{login}\r\n".encode() if text else b"")
    try:
        yield reader, writer
    finally:
        writer.close()


async def status_of(pair: Pair) -> int:
    return int((await pair[0].readline()).split()[1])


async def test_streams_and_requests_of_one_credential_leave_some_to_the_others(port: int) -> None:
    async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(asked(port, STREAM, "greedy")) for _ in range(MAX_STREAMS_EACH)]
        assert [await status_of(one) for one in streams] == [200] * MAX_STREAMS_EACH
        assert await status_of(await stack.enter_async_context(asked(port, STREAM, "greedy"))) == 429
        post = "POST /api/v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n"
        unfinished = [
            await stack.enter_async_context(asked(port, post, "greedy")) for _ in range(AT_ONCE - MAX_STREAMS_EACH)
        ]
        assert {await status_of(one) for one in unfinished} == {100}
        assert await status_of(await stack.enter_async_context(asked(port, post, "greedy"))) in (100, 429)
        greedy = ApiClient(port, "greedy:secret")
        while (refused := await greedy.get("/messages")).status == 200:
            pass  # Not all logins of the unfinished requests are checked yet.
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")

        other = ApiClient(port, "other:secret")
        assert (await other.post("/messages", MAIL)).status == 202
        assert await status_of(await stack.enter_async_context(asked(port, STREAM, "other"))) == 200


async def test_idle_connections_of_strangers_end_no_stream(port: int) -> None:
    async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
        stream = await stack.enter_async_context(asked(port, STREAM, "other"))
        assert await status_of(stream) == 200
        for _ in range(60):
            await stack.enter_async_context(asked(port, ""))
        assert (await ApiClient(port, "other:secret").post("/messages", MAIL)).status == 202
        while not (line := await stream[0].readline()).startswith(b"event: "):
            assert line, "the stream goes on"


async def test_replacements_make_no_message_larger_than_is_allowed(port: int) -> None:
    client = ApiClient(port, "greedy:secret")
    texts = {"a": "b" * 100_000}
    mail = MAIL | {"text": "a" * 100_000, "substitutions": {"ada@reader.test": texts}}
    assert (await client.post("/messages", mail)).status == 413
    mail = MAIL | {"text": "a" * 5, "substitutions": {"ada@reader.test": texts}}
    assert (await client.post("/messages", mail)).status == 202

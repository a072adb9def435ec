"""Connections in their preamble: a flood from one network ends no handshake of another."""

import asyncio
import ssl

import pytest
import trustme

from relay import acceptor
from relay.acceptor import Acceptor, Preamble
from relay.listening_sockets import listen
from tests.servers.waiting import PATIENCE


async def test_the_network_with_most_preambles_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "MAX_PREAMBLES", 5)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("relay.test").configure_cert(context)
    listening = await listen(["127.0.0.1"], 0)
    serving = Acceptor(listening, Preamble(tls=context), lambda _: asyncio.Protocol(), lambda *_: None)
    port = serving.sockets[0].getsockname()[1]

    async def connect(source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))

    async with asyncio.timeout(PATIENCE):
        slow = [await connect(f"127.0.0.{number}") for number in (2, 3)]
        flood = [await connect("127.0.0.9") for _ in range(50)]
        for reader, _ in flood[:-3]:
            assert await reader.read(1) == b"", "the oldest of the flood is closed"
        assert not any(reader.at_eof() for reader, _ in (*slow, *flood[-3:]))
        for _, writer in (*slow, *flood):
            writer.close()
        serving.close()
        await serving.wait_closed()

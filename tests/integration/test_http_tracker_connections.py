"""Connections to the tracker: slow clients, bounds, proxies in front of it, and its stop."""

import asyncio
from ipaddress import ip_network

import pytest

from relay.listening_sockets import listen
from relay.tracker.connection_limits import ConnectionLimits
from tests.servers.tracker_harness import CLICK, LEAVE, OPEN, Serve, serve
from tests.servers.waiting import PATIENCE, until

__all__ = ["serve"]


async def was_cut(reader: asyncio.StreamReader) -> bool:
    """Tell whether the other side ended the connection without an answer."""
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True


SLOW = {
    "says nothing": b"",
    "never ends its header": b"GET / HTTP/1.1\r\nHost: x\r\nX-a: ",
    "never ends its body": f"POST {LEAVE} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode(),
    "is idle after an answer": f"GET {CLICK} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
}


@pytest.mark.parametrize("begun", SLOW.values(), ids=SLOW.keys())
async def test_a_slow_client_is_disconnected(serve: Serve, begun: bytes) -> None:
    served = await serve(limits=ConnectionLimits(answer_timeout=0.2))
    reader, writer = await served.connect()
    writer.write(begun)

    async def trickle() -> None:
        while begun and b"Content-Length" not in begun and b"\r\n\r\n" not in begun:
            writer.write(b"b")
            await asyncio.sleep(0.02)

    trickling = asyncio.create_task(trickle())
    async with asyncio.timeout(PATIENCE):
        try:
            while await reader.read(65536):
                pass
        except ConnectionResetError:
            pass
    trickling.cancel()
    await until(lambda: served.tracker.connections == 0)
    assert (await served.ask(CLICK)).status == 302


async def test_a_client_that_never_reads_is_disconnected(serve: Serve) -> None:
    served = await serve(limits=ConnectionLimits(answer_timeout=0.3))
    reader, writer = await served.connect()
    reader._transport.pause_reading()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                writer.write(f"GET {LEAVE} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 50)
                await writer.drain()
    except ConnectionError:
        pass
    await until(lambda: served.tracker.connections == 0)


async def test_too_many_connections_of_an_address_close_its_oldest_only(serve: Serve) -> None:
    served = await serve(limits=ConnectionLimits(connections_per_client=5))
    other = await served.connect("127.0.0.2")
    mine = [await served.connect() for _ in range(20)]
    await until(lambda: served.tracker.connections == 6)
    async with asyncio.timeout(PATIENCE):
        for reader, _ in mine[:15]:
            assert await was_cut(reader)
    for reader, writer in (other, *mine[15:]):
        writer.write(f"GET {CLICK} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 302")


async def test_too_many_connections_in_all_close_the_longest_waiting(serve: Serve) -> None:
    served = await serve(limits=ConnectionLimits(connections=3))
    clients = [await served.connect(f"127.0.0.{number}") for number in range(2, 5)]
    await until(lambda: served.tracker.connections == 3)
    reader, writer = clients[0]
    writer.write(f"GET {CLICK} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"\r\n\r\n")
    assert (await served.ask(CLICK)).status == 302
    assert served.tracker.connections == 3
    async with asyncio.timeout(PATIENCE):
        assert await was_cut(clients[1][0])
    writer.write(f"GET {CLICK} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 302")


async def test_behind_a_trusted_proxy_the_client_is_in_forwarded_for(serve: Serve) -> None:
    served = await serve(trusted_proxies=[ip_network("127.0.0.0/8")])
    await served.ask(OPEN, X_Forwarded_For="6.6.6.6, 203.0.113.7")
    assert [event.data["client"] for event in await served.events(1)] == ["203.0.113.7"]


async def test_forwarded_for_of_other_clients_is_ignored(serve: Serve) -> None:
    served = await serve()
    await served.ask(OPEN, X_Forwarded_For="203.0.113.7")
    assert [event.data["client"] for event in await served.events(1)] == ["127.0.0.1"]


async def test_a_trusted_proxy_has_no_connection_limit(serve: Serve) -> None:
    served = await serve(trusted_proxies=[ip_network("127.0.0.1")], limits=ConnectionLimits(connections_per_client=2))
    for _ in range(10):
        await served.connect()
    await until(lambda: served.tracker.connections == 10)


PROXY_HEADER = b"PROXY TCP4 203.0.113.9 192.0.2.1 56324 80\r\n"


async def test_with_proxy_protocol_the_client_is_in_its_header(serve: Serve) -> None:
    served = await serve(trusted_proxies=[ip_network("127.0.0.1")], proxy_protocol=True)
    for target in (OPEN, CLICK):
        request = f"GET {target} HTTP/1.1\r\nHost: t.example\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n".encode()
        assert (await served.exchange(PROXY_HEADER + request)).status < 400
    assert [event.data["client"] for event in await served.events(2)] == ["203.0.113.9"] * 2


async def test_an_http_proxy_behind_the_header_is_read_if_it_is_trusted(serve: Serve) -> None:
    networks = [ip_network("127.0.0.1"), ip_network("203.0.113.0/24")]
    served = await serve(trusted_proxies=networks, proxy_protocol=True)
    request = f"GET {OPEN} HTTP/1.1\r\nHost: t.example\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n".encode()
    await served.exchange(PROXY_HEADER + request)
    assert [event.data["client"] for event in await served.events(1)] == ["6.6.6.6"]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: t.example\r\n\r\n", PROXY_HEADER[1:]])
async def test_with_proxy_protocol_a_connection_without_a_header_is_closed(serve: Serve, data: bytes) -> None:
    lines: list[dict[str, object]] = []
    served = await serve(
        trusted_proxies=[ip_network("127.0.0.1")],
        proxy_protocol=True,
        log=lambda name, **fields: lines.append({"name": name, **fields}),
    )
    reader, writer = await served.connect()
    writer.write(data)
    async with asyncio.timeout(PATIENCE):
        assert await was_cut(reader)
    ((line),) = lines
    assert (line["name"], line["client"], line["listener"]) == ("proxy.refused", "127.0.0.1", "tracker")
    assert served.tracker.connections == 0


async def test_stopping_ends_idle_connections_and_frees_the_port(serve: Serve) -> None:
    served = await serve()
    reader, _ = await served.connect()
    await until(lambda: served.tracker.connections == 1)
    port = served.tracker.port
    async with asyncio.timeout(PATIENCE):
        await served.tracker.stop()
        assert await reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await served.tracker.start(await listen(("127.0.0.1",), port))
    assert (await served.ask(CLICK)).status == 302

"""Listeners behind a proxy that sends the address of the client in front of its data."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay import acceptor
from relay.mail.transaction import Session
from tests.integration.uvloop_run import run
from tests.servers.haproxy import HAProxy
from tests.servers.smtp_in_harness import Client, Harness, base64, serving
from tests.servers.waiting import until

BEHIND_PROXY = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.1/32"]}


CLIENT = "127.0.0.5"
"""The address from which clients connect to the proxy."""


V1 = b"PROXY TCP4 192.0.2.9 198.51.100.1 56324 25\r\n"


V2_LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0"


HEADERS = ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with serving(tmp_path, listener=BEHIND_PROXY) as running:
        yield running


async def session_of(harness: Harness, client: Client) -> Session:
    """Send a mail, and return the session it arrived in."""
    assert (await client.reply()).startswith("220 ")
    await client.say("EHLO client.test", "MAIL FROM:<a@app.test>", "RCPT TO:<b@sink.test>", "DATA")
    client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
    assert (await client.reply()).startswith("250 ")
    return harness.handler.taken[-1].session


async def through(port: int, context: ssl.SSLContext | None = None) -> Client:
    """Connect from an address that is not the proxy's."""
    name = None if context is None else "relay.test"
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name, local_addr=(CLIENT, 0)
    )
    return Client(reader, writer)


@pytest.mark.parametrize("send", HEADERS)
async def test_the_client_behind_haproxy_is_the_client(harness: Harness, tmp_path: Path, send: str) -> None:
    async with HAProxy(tmp_path, harness.server.port, send) as proxy:
        client = await through(proxy.port)
        session = await session_of(harness, client)
        await client.close()
    assert (session.client, session.client_known) == (CLIENT, True)
    assert harness.logged("smtp.connected")[-1]["client"] == CLIENT


@pytest.mark.parametrize("send", HEADERS)
async def test_the_header_comes_before_implicit_tls(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext, send: str
) -> None:
    await over_implicit_tls(tmp_path, server_context, client_context, send)


def test_the_header_before_implicit_tls_under_uvloop(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    run(over_implicit_tls(tmp_path, server_context, client_context, HEADERS[0]))


async def over_implicit_tls(
    folder: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext, send: str
) -> None:
    async with (
        serving(folder, server_context, listener={**BEHIND_PROXY, "tls": "implicit"}) as harness,
        HAProxy(folder, harness.server.port, send) as proxy,
    ):
        client = await through(proxy.port, client_context)
        session = await session_of(harness, client)
        await client.close()
        assert (session.client, session.tls[:3]) == (CLIENT, "TLS")


async def test_starttls_follows_the_header(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with serving(tmp_path, server_context, listener={**BEHIND_PROXY, "tls": "starttls"}) as harness:
        client = await harness.connect()
        client.send(V1)
        assert (await client.reply()).startswith("220 ")
        await client.say("EHLO client.test")
        await client.start_tls(client_context)
        assert "AUTH" in await client.say("EHLO client.test")
        assert harness.logged("smtp.connected")[-1]["client"] == "192.0.2.9"


async def test_health_checks_of_haproxy_need_no_client(tmp_path: Path, harness: Harness) -> None:
    check = "send-proxy-v2 check check-send-proxy inter 50ms"
    async with HAProxy(tmp_path, harness.server.port, check):
        await until(lambda: harness.logged("smtp.connected"))
    assert not harness.logged("proxy.refused")


@pytest.mark.parametrize("header", [V2_LOCAL, b"PROXY UNKNOWN\r\n"])
async def test_a_header_without_a_client_gives_no_rights_of_the_proxy(harness: Harness, header: bytes) -> None:
    client = await harness.connect()
    client.send(header)
    session = await session_of(harness, client)
    assert (session.client, session.client_known) == ("127.0.0.1", False)
    assert "AUTH" not in await client.say("EHLO client.test")
    assert next(iter(harness.server._connections)).is_stranger


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"EHLO client.test\r\n", "no PROXY header, but b'EHLO client"),
        (b"PROXY TCP4 192.0.2.9 198.51.100.1 56324 99999\r\n", "malformed header of version 1"),
        (b"PROXY TCP4 192.0.2.9", "the connection ended before the end of its PROXY header"),
        (b"", "the connection ended before the end of its PROXY header"),
    ],
)
async def test_a_connection_without_a_valid_header_is_closed_with_a_log_line(
    harness: Harness, data: bytes, reason: str
) -> None:
    client = await harness.connect()
    client.send(data)
    client.writer.write_eof()
    assert await client.ended()
    ((fields),) = await until(lambda: harness.logged("proxy.refused"))
    assert (fields["client"], fields["listener"]) == ("127.0.0.1", "in")
    assert fields["error"].startswith(reason)
    assert not harness.logged("smtp.connected")


async def test_a_client_that_sends_no_header_is_closed_in_time(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "PROXY_HEADER_TIME", 0.01)
    client = await harness.connect()
    client.send(V1[:10])
    assert await client.ended()
    ((fields),) = await until(lambda: harness.logged("proxy.refused"))
    assert fields["error"].startswith("no whole PROXY header within")


async def test_a_header_of_another_peer_is_refused(tmp_path: Path) -> None:
    listener = {"proxy_protocol": True, "trusted_proxies": ["192.0.2.0/24", "::1/128"]}
    async with serving(tmp_path, listener=listener) as harness:
        client = await harness.connect()
        client.send(V1)
        assert await client.ended()
        ((fields),) = await until(lambda: harness.logged("proxy.refused"))
        assert fields["error"] == "the peer is not in trusted_proxies"


async def test_without_proxy_protocol_a_header_is_an_unknown_command(tmp_path: Path) -> None:
    async with serving(tmp_path, listener={"trusted_proxies": ["127.0.0.1/32"]}) as harness:
        client = await harness.connect()
        await client.reply()
        client.send(V1)
        assert (await client.reply()).startswith("500 ")


async def test_clients_behind_one_proxy_are_limited_each_for_itself(tmp_path: Path) -> None:
    async with serving(tmp_path, listener=BEHIND_PROXY, smtp={"max_connections_per_client": 1}) as harness:
        replies = []
        for source in (b"192.0.2.9", b"192.0.2.10", b"192.0.2.9"):
            client = await harness.connect()
            client.send(V1.replace(b"192.0.2.9", source))
            replies.append((await client.reply())[:9])
        assert replies == ["220 relay", "220 relay", "421 4.7.0"]


async def test_a_failed_login_is_logged_with_the_client(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    listener = {**BEHIND_PROXY, "tls": "implicit"}
    async with (
        serving(tmp_path, server_context, listener=listener) as harness,
        HAProxy(tmp_path, harness.server.port, "send-proxy-v2") as proxy,
    ):
        client = await through(proxy.port, client_context)
        await client.reply()
        wrong = base64("\0ann\0guess")
        assert (await client.say("EHLO client.test", f"AUTH PLAIN {wrong}")).startswith("535 ")
        await client.close()
        assert harness.logged("smtp.auth_failed")[0]["client"] == CLIENT


async def test_a_failed_handshake_behind_a_proxy_is_logged_with_the_client(
    tmp_path: Path, server_context: ssl.SSLContext
) -> None:
    async with serving(tmp_path, server_context, listener={**BEHIND_PROXY, "tls": "implicit"}) as harness:
        client = await harness.connect()
        client.send(V1 + b"EHLO client.test\r\n")
        ((fields),) = await until(lambda: harness.logged("smtp.tls_failed"))
        assert fields["client"] == "192.0.2.9"

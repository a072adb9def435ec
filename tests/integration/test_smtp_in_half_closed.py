"""A client that has closed its side gets all replies: in clear text, with STARTTLS and with implicit TLS."""

import asyncio
import socket
import ssl
import struct
from contextlib import closing, suppress
from pathlib import Path

import pytest
import trustme

from tests.integration.uvloop_run import run
from tests.servers.smtp_in_harness import Harness, serving
from tests.servers.waiting import PATIENCE, until

BEGIN = b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n"

LETTER = b"Subject: x\r\n\r\nhi\r\n"

CONTENTS = {
    "DATA": BEGIN + b"DATA\r\n" + LETTER + b".\r\n",
    "DATA, QUIT": BEGIN + b"DATA\r\n" + LETTER + b".\r\nQUIT\r\n",
    "BDAT": BEGIN + b"BDAT %d LAST\r\n" % len(LETTER) + LETTER,
    "BDAT in chunks, QUIT": BEGIN
    + b"BDAT 9\r\n"
    + LETTER[:9]
    + b"BDAT %d LAST\r\n" % (len(LETTER) - 9)
    + LETTER[9:]
    + b"QUIT\r\n",
    "two messages": BEGIN + b"DATA\r\n" + LETTER + b".\r\n" + BEGIN + b"DATA\r\n" + LETTER + b".\r\nQUIT\r\n",
    "large": BEGIN + b"DATA\r\n" + LETTER + b"x" * 70 + b"\r\n" * 150_000 + b".\r\nQUIT\r\n",
}

FAREWELLS = ("close_notify", "end of the stream", "both")


class Plain:
    """A client in clear text that sends what it likes, then closes its side, then reads."""

    def __init__(self, port: int) -> None:
        self.raw = socket.create_connection(("127.0.0.1", port), PATIENCE)

    def begin(self) -> None:
        self.raw.recv(4096)

    def send(self, octets: bytes, farewell: str = "") -> None:
        self.raw.sendall(octets)
        if farewell:
            self.raw.shutdown(socket.SHUT_WR)

    def rest(self) -> str:
        """Return what the server sends until it closes its side."""
        said = b""
        while block := self.raw.recv(65536):
            said += block
        return said.decode()

    def reset(self) -> None:
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.raw.close()


class Encrypted(Plain):
    """The same with TLS, which it can end without the stream, and the stream without TLS."""

    def __init__(self, port: int, context: ssl.SSLContext, tls: str) -> None:
        super().__init__(port)
        self._starttls = tls == "starttls"
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname="relay.test")
        self.closed_by_server = False
        """Whether the server has sent its close_notify."""

    def begin(self) -> None:
        if self._starttls:
            self.raw.recv(4096)
            self.raw.sendall(b"STARTTLS\r\n")
            self.raw.recv(4096)
        while True:
            try:
                self._session.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.raw.sendall(self._outgoing.read())
                self._incoming.write(self.raw.recv(65536))
        self.raw.sendall(self._outgoing.read())
        if self._starttls:
            self.send(b"NOOP\r\n")
        self._read_once()  # The server has ended the handshake too.

    def _read_once(self) -> bytes:
        while True:
            try:
                return self._session.read(65536)
            except ssl.SSLWantReadError:
                self._incoming.write(self.raw.recv(65536))

    def send(self, octets: bytes, farewell: str = "") -> None:
        rest = memoryview(octets)
        while rest:
            rest = rest[self._session.write(rest) :]
        if farewell in ("close_notify", "both"):
            with suppress(ssl.SSLWantReadError):
                self._session.unwrap()
        self.raw.sendall(self._outgoing.read())
        if farewell in ("end of the stream", "both"):
            self.raw.shutdown(socket.SHUT_WR)

    def rest(self) -> str:
        said = b""
        while block := self.raw.recv(65536):
            self._incoming.write(block)
            with suppress(ssl.SSLWantReadError):
                try:
                    while text := self._session.read(65536):
                        said += text
                except ssl.SSLZeroReturnError:
                    pass
                self.closed_by_server = True
        return said.decode()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def client_of(harness: Harness, tls: str, trusting: ssl.SSLContext) -> Plain:
    return Plain(harness.server.port) if tls == "none" else Encrypted(harness.server.port, trusting, tls)


def context_for(tls: str, context: ssl.SSLContext) -> ssl.SSLContext | None:
    return None if tls == "none" else context


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(
    ("tls", "farewell"),
    [("none", "end of the stream"), *((tls, one) for tls in ("starttls", "implicit") for one in FAREWELLS)],
)
async def test_replies_follow_the_end_of_the_clients_side(
    tmp_path: Path, server_context: ssl.SSLContext, trusting: ssl.SSLContext, tls: str, farewell: str, name: str
) -> None:
    await replies_follow(tmp_path, server_context, trusting, tls, farewell, name)


@pytest.mark.parametrize("farewell", FAREWELLS)
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_replies_follow_under_uvloop(
    tmp_path: Path, server_context: ssl.SSLContext, trusting: ssl.SSLContext, tls: str, farewell: str
) -> None:
    for name in ("DATA", "large"):
        run(replies_follow(tmp_path, server_context, trusting, tls, farewell, name))


async def replies_follow(
    folder: Path, context: ssl.SSLContext, trusting: ssl.SSLContext, tls: str, farewell: str, name: str
) -> None:
    content = CONTENTS[name]
    async with serving(folder, context_for(tls, context), listener={"tls": tls}, smtp={"max_errors": 100}) as harness:
        client = await asyncio.to_thread(client_of, harness, tls, trusting)
        with closing(client.raw):
            await asyncio.to_thread(client.begin)
            await asyncio.to_thread(client.send, content, farewell)
            said = await asyncio.to_thread(client.rest)
        messages = content.count(b"MAIL FROM")
        assert said.count("queued as") == messages == len(harness.handler.taken)
        assert said.endswith("221 2.0.0 Bye\r\n") == content.endswith(b"QUIT\r\n")
        if isinstance(client, Encrypted):
            assert client.closed_by_server
        await until(lambda: harness.server.connections == 0)


@pytest.mark.parametrize("kind", ["submission", "inbound"])
@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("farewell", FAREWELLS)
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_side_that_ends_while_the_message_is_stored_gets_the_reply(
    tmp_path: Path,
    server_context: ssl.SSLContext,
    trusting: ssl.SSLContext,
    tls: str,
    farewell: str,
    maximum: ssl.TLSVersion,
    kind: str,
) -> None:
    trusting.maximum_version = maximum
    async with serving(tmp_path, server_context, listener={"tls": tls, "kind": kind}) as harness:
        harness.handler.gate = asyncio.Event()
        client = await asyncio.to_thread(client_of, harness, tls, trusting)
        with closing(client.raw):
            await asyncio.to_thread(client.begin)
            client.send(CONTENTS["DATA"])
            await harness.handler.begun.wait()
            client.send(b"", farewell)
            harness.handler.gate.set()
            assert "queued as" in await asyncio.to_thread(client.rest)
        assert len(harness.handler.taken) == 1


@pytest.mark.parametrize("content", ["DATA", "BDAT"])
@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_a_client_that_reset_the_connection_keeps_its_message(
    tmp_path: Path, server_context: ssl.SSLContext, trusting: ssl.SSLContext, tls: str, content: str
) -> None:
    async with serving(tmp_path, context_for(tls, server_context), listener={"tls": tls}) as harness:
        client = await asyncio.to_thread(client_of, harness, tls, trusting)
        await asyncio.to_thread(client.begin)
        # The event loop waits here: the content and the reset arrive together.
        client.send(CONTENTS[content])
        client.reset()
        await until(lambda: harness.server.connections == 0)
        assert harness.handler.taken == []
        assert "smtp.lost" in [line for line, _ in harness.lines]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_side_that_ends_within_the_handshake_or_the_content_ends_the_session(
    tmp_path: Path, server_context: ssl.SSLContext, trusting: ssl.SSLContext, tls: str
) -> None:
    async with serving(tmp_path, server_context, listener={"tls": tls}) as harness:
        client = await asyncio.to_thread(client_of, harness, tls, trusting)
        with closing(client.raw):
            client.raw.sendall(b"STARTTLS\r\n\x16\x03\x01" if tls == "starttls" else b"\x16\x03\x01")
            client.raw.shutdown(socket.SHUT_WR)
            await until(lambda: harness.logged("smtp.tls_failed"))
        await until(lambda: harness.server.connections == 0)

        client = await asyncio.to_thread(client_of, harness, tls, trusting)
        with closing(client.raw):
            await asyncio.to_thread(client.begin)
            client.send(BEGIN + b"DATA\r\nSubject: x\r\n\r\nhalf", "both")
            said = await asyncio.to_thread(client.rest)
            assert said.rstrip().endswith("End data with <CR><LF>.<CR><LF>")
        await until(lambda: harness.server.connections == 0)
        assert harness.handler.taken == []


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_client_that_never_closes_is_aborted_after_the_last_reply(
    tmp_path: Path, server_context: ssl.SSLContext, trusting: ssl.SSLContext, tls: str
) -> None:
    async with serving(tmp_path, server_context, listener={"tls": tls}) as harness:
        client = await asyncio.to_thread(client_of, harness, tls, trusting)
        with closing(client.raw):
            await asyncio.to_thread(client.begin)
            client.send(b"QUIT\r\n")
            assert "221 2.0.0 Bye" in await asyncio.to_thread(client.rest)
            harness.time.now += 11
            harness.server.sweep(harness.time.now)
            await until(lambda: harness.server.connections == 0)

"""Buffered streams of a connection: reads lines and blocks, batches replies, has a deadline.

`aiosmtpd.smtp.SMTP` provides the protocol of the connection: streams, session, handler task. Reading and replying are
replaced, because it reads content by line and flushes each reply (docs/decisions/0027-aiosmtpd-and-beautifulsoup4.md).
"""

import asyncio
import logging
import math
import socket
import ssl
from typing import Self

import aiosmtpd
from aiosmtpd.smtp import SMTP

from relay.acceptor import TLS_HANDSHAKE_TIME
from relay.mail.reply import Reply
from relay.tls_transport import TlsTransport

_REQUIRED_METHODS = ("_handle_client", "_cb_client_connected", "_create_session", "_set_rset_state", "_reset_timeout")

_missing = [name for name in _REQUIRED_METHODS if not hasattr(SMTP, name)]


if _missing:
    raise ImportError(
        f"aiosmtpd {aiosmtpd.__version__} has no SMTP.{_missing[0]}, which relay.smtp_in builds on: "
        'install "aiosmtpd>=1.4.6,<1.5"'
    )


# The log of aiosmtpd repeats client input, with control characters and secrets.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)

CLOSED_IN_HANDSHAKE = "the client closed the connection in the handshake"
"""Reason of a failed handshake where the system gives none."""

_CLOSING_TIME = 10.0
"""Seconds to send the last reply before the connection is aborted."""

_READ_SIZE = 128 * 1024

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)

_TCP_CLOSE = 7
"""State of a connection after a reset, in the first octet of TCP_INFO (Linux)."""

_END_OF_LINE = 10


class ClientDisconnected(Exception):  # noqa: N818 - not an error: clients may disconnect at any time
    """The client sends nothing more: it disconnected, or the connection broke or was aborted."""


class TlsHandshakeError(ClientDisconnected):
    """The TLS handshake failed, for the given reason; the connection is closed."""


class SmtpStream(SMTP):
    """Buffered input and output. Replies are collected until more input is needed: one write per batch."""

    def __init__(self) -> None:
        # SMTP.__init__ inspects all attributes of itself and its handler: 0.2 ms for each connection. The inherited
        # methods in use need the following only.
        self.loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_READ_SIZE, loop=self.loop)
        callback = self._cb_client_connected
        asyncio.StreamReaderProtocol.__init__(self, reader, client_connected_cb=callback, loop=self.loop)
        self.transport: asyncio.Transport | None = None
        self._original_transport = None
        self.deadline = math.inf
        self.closing = False
        self._input = bytearray()
        self._replies: list[bytes] = []

    # The protocol's callbacks

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Set no timer: one sweep checks the deadlines of all connections."""

    def connection_lost(self, error: Exception | None) -> None:
        """Do not cancel the handler task as the base does: an acceptance in progress must complete."""
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        self.transport = None

    def eof_received(self) -> bool:
        """Keep the connection open for replies after the client has closed its side."""
        asyncio.StreamReaderProtocol.eof_received(self)
        return True

    @property
    def handler(self) -> "asyncio.Task[None] | None":
        """The task that serves the client."""
        return self._handler_coroutine

    # Reading

    async def receive(self) -> bytes:
        """Flush the replies and return the next input. Raises ClientDisconnected at its end."""
        await self.flush()
        try:
            block = await self._reader.read(_READ_SIZE)
        except OSError as error:
            raise ClientDisconnected from error
        if not block:
            raise ClientDisconnected
        return block

    async def read_block(self) -> bytes:
        """Return the buffered input, or the next when the buffer is empty."""
        if not self._input:
            return await self.receive()
        block = bytes(self._input)
        self._input.clear()
        return block

    def push_back(self, rest: bytes) -> None:
        """Put unused input back."""
        self._input[:0] = rest

    async def read_line(self, limit: int) -> bytes | None:
        """Return the next line without its end, None when it is longer than `limit` octets with its end.

        A bare LF ends a command line as well. A longer line is skipped without buffering it.
        """
        while (end := self._input.find(_END_OF_LINE)) < 0:
            if len(self._input) >= limit:
                await self._skip_line()
                return None
            self._input += await self.receive()
        line = bytes(self._input[:end])
        del self._input[: end + 1]
        return line.removesuffix(b"\r") if end < limit else None

    async def _skip_line(self) -> None:
        block = await self.read_block()
        while (end := block.find(_END_OF_LINE)) < 0:
            block = await self.receive()
        self.push_back(block[end + 1 :])

    # Writing

    def queue_reply(self, reply: Reply) -> None:
        """Queue a reply for the next flush."""
        self._replies.append(reply.encode())

    async def flush(self) -> None:
        """Write the queued replies, and wait while the send buffer is full."""
        if not self._replies:
            return
        batch = b"".join(self._replies)
        self._replies.clear()
        try:
            self._writer.write(batch)
            await self._writer.drain()
        except OSError as error:
            raise ClientDisconnected from error

    # Ends

    @property
    def gone(self) -> bool:
        """Whether no reply can reach the client. One that has only closed its side can get replies."""
        return self.transport is None or _was_reset(self.transport)

    def close_with(self, reply: Reply, now: float) -> None:
        """Send a reply and close; abort at once when the client does not read."""
        if self.transport is None:
            return
        if self.closing or self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        self.transport.write(reply.encode())
        self.close(now)

    def close(self, now: float) -> None:
        """Close after the written data was sent, for which there is a deadline."""
        self.closing = True
        if self.transport is not None:
            self.transport.close()
            self._reader.feed_eof()  # Under TLS the connection is lost when the client has closed its side.
            self.deadline = now + _CLOSING_TIME

    def abort(self) -> None:
        """Abort the connection."""
        if self.transport is not None:
            self.transport.abort()

    # TLS

    @property
    def tls(self) -> str:
        """Protocol and cipher, "" in clear text."""
        tls = None if self.transport is None else self.transport.get_extra_info("ssl_object")
        return "" if tls is None else f"{tls.version()} {tls.cipher()[0]}"

    async def start_tls(self, ready: Reply, context: ssl.SSLContext) -> None:
        """Reply to STARTTLS and do the handshake; earlier input in clear text is discarded (RFC 3207 section 4.2)."""
        await self.flush()
        self._input.clear()
        self._reader._buffer.clear()  # type: ignore[attr-defined]
        plain = self.transport
        if plain is None:
            raise ClientDisconnected
        plain.write(ready.encode())
        if self._reader.at_eof():
            raise TlsHandshakeError(CLOSED_IN_HANDSHAKE)
        encrypted = TlsTransport(context, self._encrypted, self)
        plain.set_protocol(encrypted)
        encrypted.connection_made(plain)
        try:
            await encrypted.handshake(TLS_HANDSHAKE_TIME)
        except OSError as error:
            raise TlsHandshakeError(str(error) or CLOSED_IN_HANDSHAKE) from error

    def _encrypted(self, transport: asyncio.Transport) -> Self:
        """Use this transport from now on, instead of the one in clear text."""
        for user in (self, self._reader, self._writer):
            user._transport = transport  # type: ignore[union-attr]
        self.transport = transport
        return self


def _was_reset(transport: asyncio.Transport) -> bool:
    """Whether the system has a reset of the connection that is not read yet."""
    connected = transport.get_extra_info("socket")
    if _TCP_INFO is None or connected is None:
        return False
    try:
        return bool(connected.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0] == _TCP_CLOSE)
    except OSError:
        return False

"""Buffered streams of a connection: reads lines and blocks, batches replies, has a deadline.

`aiosmtpd.smtp.SMTP` provides the protocol of the connection: flow control, session, handler task. Reading and replying
are replaced, because it reads content by line and flushes each reply
(docs/decisions/0027-aiosmtpd-and-beautifulsoup4.md).
"""

import asyncio
import logging
import math
import select
import ssl
from typing import Self

import aiosmtpd
from aiosmtpd.smtp import SMTP

from relay.acceptor import TLS_HANDSHAKE_TIME
from relay.mail.reply import Reply
from relay.tls_transport import TlsTransport

_REQUIRED_METHODS = ("_handle_client", "_drain_helper", "_create_session", "_set_rset_state", "_reset_timeout")

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

_MAX_UNREAD = 256 * 1024
"""Octets of input above which the client has to wait until they are read."""

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
        asyncio.StreamReaderProtocol.__init__(self, None, loop=self.loop)  # type: ignore[arg-type]
        self.transport: asyncio.Transport | None = None
        self._original_transport = None
        self.deadline = math.inf
        self.closing = False
        self._block = b""
        """The first unread input as it arrived: content of one block is not copied."""
        self._input = bytearray()
        """Unread input behind it."""
        self._has_ended = False
        """Whether there will be no more input."""
        self._reading_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._replies: list[bytes] = []

    # The protocol's callbacks

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Set no timer: one sweep checks the deadlines of all connections."""

    def _set_rset_state(self) -> None:
        """Make no envelope: a transaction has its own (`relay.mail.transaction`)."""

    def data_received(self, data: bytes) -> None:
        """Add the data to the input. Too much of it pauses the client."""
        if self._block or self._input:
            self._input += data
            if len(self._input) > _MAX_UNREAD and not self._reading_paused and self.transport is not None:
                self.transport.pause_reading()
                self._reading_paused = True
        else:
            self._block = data
        if self._waiter is not None:
            self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Do not cancel the handler task as the base does: an acceptance in progress must complete."""
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        self.transport = None
        self._end_input()

    def eof_received(self) -> bool:
        """Keep the connection open for replies after the client has closed its side."""
        self._end_input()
        return True

    def _end_input(self) -> None:
        self._has_ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def handler(self) -> "asyncio.Task[None] | None":
        """The task that serves the client."""
        return self._handler_coroutine

    # Reading

    async def _receive(self) -> None:
        """Flush the replies and wait for more input or its end. Raises ClientDisconnected after the end."""
        self._waiter = waiter = self.loop.create_future()  # Input may arrive while the replies are written.
        if self._write_replies() and self._paused:  # type: ignore[attr-defined]
            await self._drain()
        if not waiter.done():
            if self._has_ended:
                raise ClientDisconnected
            if self._reading_paused and self.transport is not None:
                self._reading_paused = False
                self.transport.resume_reading()
            await waiter

    async def read_block(self) -> bytes:
        """Return the buffered input, or the next when the buffer is empty."""
        while not (self._block or self._input):
            await self._receive()
        block = bytes(self._unread()) if self._input else self._block
        self._discard()
        return block

    def _unread(self) -> bytearray:
        """Return all unread input as one buffer."""
        if self._block:
            self._input[:0], self._block = self._block, b""
        return self._input

    def _discard(self) -> None:
        self._block = b""
        self._input.clear()

    def push_back(self, rest: bytes) -> None:
        """Put unused input back."""
        if rest:
            self._unread()[:0] = rest

    async def read_line(self, limit: int) -> bytes | None:
        """Return the next line without its end, None when it is longer than `limit` octets with its end.

        A bare LF ends a command line as well. A longer line is skipped without buffering it.
        """
        while (line := self._take_line()) is None:
            if len(self._input) >= limit:
                await self._skip_line()
                return None
            await self._receive()
        return line.removesuffix(b"\r") if len(line) < limit else None

    def _take_line(self) -> bytes | None:
        """Return the first line without its LF, None while it is not complete."""
        block = self._block
        if not self._input:
            if not block:
                return None
            if block.find(_END_OF_LINE) == len(block) - 1:
                self._block = b""
                return block[:-1]
        end = self._unread().find(_END_OF_LINE)
        if end < 0:
            return None
        line = bytes(self._input[:end])
        del self._input[: end + 1]
        return line

    async def _skip_line(self) -> None:
        block = await self.read_block()
        while (end := block.find(_END_OF_LINE)) < 0:
            block = await self.read_block()
        self.push_back(block[end + 1 :])

    # Writing

    def queue_reply(self, reply: Reply) -> None:
        """Queue a reply for the next flush."""
        self._replies.append(reply.encode())

    async def flush(self) -> None:
        """Write the queued replies, and wait while the send buffer is full."""
        if self._write_replies() and self._paused:  # type: ignore[attr-defined]
            await self._drain()

    def _write_replies(self) -> bool:
        """Write the queued replies at once, if there are any."""
        if not self._replies:
            return False
        batch = b"".join(self._replies)
        self._replies.clear()
        if self.transport is None:
            raise ClientDisconnected
        self.transport.write(batch)
        return True

    async def _drain(self) -> None:
        try:
            await self._drain_helper()  # type: ignore[attr-defined]
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
            self._end_input()  # Under TLS the connection is lost when the client has closed its side.
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
        self._discard()
        plain = self.transport
        if plain is None:
            raise ClientDisconnected
        plain.write(ready.encode())
        if self._has_ended:
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
        self.transport = transport
        self._reading_paused = False
        return self


def _was_reset(transport: asyncio.Transport) -> bool:
    """Whether the system has a reset of the connection that is not read yet."""
    connected = transport.get_extra_info("socket")
    if connected is None:
        return False
    poll = select.poll()
    try:
        poll.register(connected, 0)  # Without events, poll reports errors and the end of both directions.
    except ValueError:
        return True  # This side has closed it.
    return bool(poll.poll(0))

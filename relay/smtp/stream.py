"""The two streams of a connection: lines and blocks in, batches of replies out, a deadline on everything.

Built on `aiosmtpd.smtp.SMTP` for the life of the connection (streams, session, handler task). Reading and replying are
ours: the base reads content line by line, and writes every reply on its own.
"""

import asyncio
import logging
import math
import ssl

import aiosmtpd
from aiosmtpd.smtp import SMTP

from relay.mail.reply import Reply

_BUILT_ON = ("_handle_client", "_cb_client_connected", "_create_session", "_set_rset_state", "_reset_timeout")


_missing = [name for name in _BUILT_ON if not hasattr(SMTP, name)]


if _missing:
    raise ImportError(
        f"aiosmtpd {aiosmtpd.__version__} has no SMTP.{_missing[0]}, which relay.smtp_in builds on: "
        'install "aiosmtpd>=1.4.6,<1.5"'
    )


# aiosmtpd's own log repeats what clients send, control characters and secrets included.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)


TLS_HANDSHAKE_TIME = 30.0


_CLOSING_TIME = 10.0
"""Seconds for a TLS handshake, and for a last reply to leave."""


_READ_SIZE = 128 * 1024


_END_OF_LINE = 10


class ClientDisconnected(Exception):  # noqa: N818 - no error: clients come and go
    """The client will send nothing more: it closed, was cut off, or the connection broke."""


class SmtpStream(SMTP):
    """Reads and writes. Replies wait until the client has nothing more to say, so that a batch is one write."""

    def __init__(self) -> None:
        # SMTP.__init__ looks through all attributes of itself and its handler, 0.2 ms for each connection; what is in
        # use here of the base needs no more than the following.
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
        """Set no timer: one sweep looks at the deadlines of all connections."""

    def connection_lost(self, error: Exception | None) -> None:
        """Let the handler find out by itself: the base would cancel it, and an acceptance in progress with it."""
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        self.transport = None

    def eof_received(self) -> bool | None:
        """Keep the connection for our replies when the client has finished sending."""
        return asyncio.StreamReaderProtocol.eof_received(self)

    @property
    def handler(self) -> "asyncio.Task[None] | None":
        """The task that serves the client."""
        return self._handler_coroutine

    # Reading

    async def receive(self) -> bytes:
        """Send the replies that wait, then return what the client sends next; raise Gone when that is nothing."""
        await self.flush()
        try:
            block = await self._reader.read(_READ_SIZE)
        except OSError as error:
            raise ClientDisconnected from error
        if not block:
            raise ClientDisconnected
        return block

    async def read_block(self) -> bytes:
        """Return all that has been sent and not read yet, or what comes next."""
        if not self._input:
            return await self.receive()
        block = bytes(self._input)
        self._input.clear()
        return block

    def push_back(self, rest: bytes) -> None:
        """Put back what was read too far."""
        self._input[:0] = rest

    async def read_line(self, limit: int) -> bytes | None:
        """Return the next line without its end, None when it is longer than `limit` octets with its end.

        A bare LF ends a command line as well. A longer line is passed over, and never kept.
        """
        while (end := self._input.find(_END_OF_LINE)) < 0:
            if len(self._input) >= limit:
                await self._pass_over_line()
                return None
            self._input += await self.receive()
        line = bytes(self._input[:end])
        del self._input[: end + 1]
        return line.removesuffix(b"\r") if end < limit else None

    async def _pass_over_line(self) -> None:
        block = await self.read_block()
        while (end := block.find(_END_OF_LINE)) < 0:
            block = await self.receive()
        self.push_back(block[end + 1 :])

    # Writing

    def queue_reply(self, reply: Reply) -> None:
        """Add a reply to the batch that waits."""
        self._replies.append(reply.encode())

    async def flush(self) -> None:
        """Write the batch, and wait while the client does not read what it was sent."""
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

    def close_with(self, reply: Reply, now: float) -> None:
        """Say a last word from outside and close; a client that does not read loses the connection at once."""
        if self.transport is None:
            return
        if self.closing or self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        self.transport.write(reply.encode())
        self.close(now)

    def close(self, now: float) -> None:
        """Close once everything written has left, which must be soon."""
        self.closing = True
        if self.transport is not None:
            self.transport.close()
            self.deadline = now + _CLOSING_TIME

    def abort(self) -> None:
        """Drop the connection."""
        if self.transport is not None:
            self.transport.abort()

    # TLS

    @property
    def tls(self) -> str:
        """Protocol and cipher, "" in clear text."""
        tls = None if self.transport is None else self.transport.get_extra_info("ssl_object")
        return "" if tls is None else f"{tls.version()} {tls.cipher()[0]}"

    async def start_tls(self, ready: Reply, context: ssl.SSLContext) -> None:
        """Answer STARTTLS and shake hands; what was sent in clear text before is forgotten (RFC 3207 section 4.2)."""
        await self.flush()
        self._input.clear()
        self._reader._buffer.clear()  # type: ignore[attr-defined]
        try:
            self._writer.write(ready.encode())
            await self._writer.start_tls(context, ssl_handshake_timeout=TLS_HANDSHAKE_TIME)
        except OSError as error:
            raise ClientDisconnected from error
        self.transport = self._writer.transport  # type: ignore[assignment]
        # Python 3.11 leaves the reader with the transport below, which must not be paused under TLS.
        self._reader._transport = self.transport  # type: ignore[attr-defined]

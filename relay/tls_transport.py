"""TLS of a server over a plain transport, where each side closes on its own (RFC 8446 section 6.1).

The TLS of asyncio closes both sides at the first close_notify or end of the stream. A client that closes its side
behind the final dot would then get no reply, although its message is accepted.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

_READ_SIZE = 64 * 1024

Begin = Callable[[asyncio.Transport], asyncio.Protocol]
"""Is called with the transport after the handshake; returns the protocol that gets the decrypted octets."""


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """The protocol of a plain transport, and the transport of a protocol above.

    Octets are encrypted when they are written: only the plain transport has a buffer, and it does the flow control.
    """

    def __init__(self, context: ssl.SSLContext, begin: Begin, before: asyncio.Protocol | None = None) -> None:
        """`before` is the protocol that the plain transport had: it is notified when the handshake fails."""
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._begin = begin
        self._before = before
        self._handshaken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._plain: asyncio.Transport | None = None
        self._protocol: asyncio.Protocol | None = None
        self._closing = False
        self._has_ended = False
        """Whether the client has closed its side of TLS, or its stream."""
        self._stream_has_ended = False

    async def handshake(self, seconds: float) -> None:
        """Wait for the end of the handshake. Raises OSError if it failed; the connection is then closed."""
        try:
            async with asyncio.timeout(seconds):
                await self._handshaken
        except TimeoutError:
            self.abort()
            raise ConnectionAbortedError(f"no TLS handshake within {seconds:.0f} seconds") from None
        except BaseException:
            self._closing = True
            if self._plain is not None:
                self._plain.close()  # Behind the alert that gives the reason.
            raise

    # The protocol of the plain transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._plain = plain = cast(asyncio.Transport, transport)  # That of uvloop is one by its methods only.
        if not plain.is_reading():
            plain.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake, or decrypt. What comes after the end of either side is ignored."""
        if self._closing or self._has_ended:
            return
        self._incoming.write(data)
        if self._protocol is None:
            self._continue_handshake()
        else:
            self._read(self._protocol)

    def eof_received(self) -> bool:
        """Keep the connection open for what is still to be written, unless both sides are closed now."""
        self._stream_has_ended = True
        if self._closing or self._protocol is None:
            return False
        self._end(self._protocol)
        return not self._closing

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on; within the handshake it has failed."""
        self._closing, self._plain = True, None
        if not self._handshaken.done():
            self._handshaken.set_exception(exc if isinstance(exc, OSError) else ConnectionResetError())
        protocol = self._protocol or self._before
        if protocol is not None:
            protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        if self._protocol is not None:
            self._protocol.resume_writing()

    def _continue_handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()
            if not self._handshaken.done():
                self._handshaken.set_exception(error)
            return

        self._flush()
        if self._handshaken.done() or self._closing:
            return
        self._protocol = self._begin(self)
        self._handshaken.set_result(None)
        self._read(self._protocol)

    def _read(self, protocol: asyncio.Protocol) -> None:
        """Pass the decrypted octets on, then the end of the client's side if it is there."""
        blocks: list[bytes] = []
        ended = False
        try:
            while block := self._tls.read(_READ_SIZE):
                blocks.append(block)
            ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._flush()
            self.abort()
            return

        self._flush()
        if blocks:
            protocol.data_received(b"".join(blocks))
        if ended:
            self._end(protocol)

    def _end(self, protocol: asyncio.Protocol) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        if not protocol.eof_received():
            self.close()

    def _flush(self) -> None:
        encrypted = self._outgoing.read()
        if encrypted and self._plain is not None:
            self._plain.write(encrypted)

    # The transport of the protocol above

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return `ssl_object`, or a value of the plain transport."""
        if name == "ssl_object":
            return self._tls
        return default if self._plain is None else self._plain.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio.BaseTransport."""
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See asyncio.BaseTransport."""
        return self if self._protocol is None else self._protocol

    def is_closing(self) -> bool:
        """Whether this side is closed or being closed."""
        return self._closing

    def is_reading(self) -> bool:
        """See asyncio.ReadTransport."""
        return self._plain is not None and self._plain.is_reading()

    def pause_reading(self) -> None:
        """See asyncio.ReadTransport."""
        if self._plain is not None and not self._closing:
            self._plain.pause_reading()

    def resume_reading(self) -> None:
        """See asyncio.ReadTransport."""
        if self._plain is not None:
            self._plain.resume_reading()

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Encrypt and send."""
        rest = memoryview(data)
        try:
            while rest and not self._closing:
                rest = rest[self._tls.write(rest) :]  # One record at a time.
        except ssl.SSLError:
            self.abort()
            return
        self._flush()

    def get_write_buffer_size(self) -> int:
        """Return the octets that are not sent yet."""
        return 0 if self._plain is None else self._plain.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """Return False: `close` closes this side."""
        return False

    def close(self) -> None:
        """Send close_notify, and end the stream behind what is still to be sent.

        The socket is closed when the client has closed its side too. Earlier, what it sends would reset the
        connection, and with it the last reply. The caller aborts connections of clients that do not close.
        """
        if self._closing or self._plain is None:
            return
        self._closing = True
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()
        if self._stream_has_ended:
            self._plain.close()
        else:
            self._plain.write_eof()
            if not self._plain.is_reading():
                self._plain.resume_reading()

    def abort(self) -> None:
        """Drop the connection and all octets not yet sent."""
        self._closing = True
        if self._plain is not None:
            self._plain.abort()

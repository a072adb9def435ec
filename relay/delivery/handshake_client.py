"""The client of the handshake: aiosmtplib, which skips the empty lines that some servers send in front of a reply."""

import asyncio
import re
import ssl

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

_EMPTY_LINE = re.compile(rb"^[ \t]*\r?\n", re.MULTILINE)


class HandshakeClient(aiosmtplib.SMTP):
    """A client of an open socket."""

    async def _create_connection(self, timeout: float | None) -> aiosmtplib.SMTPResponse:
        """Read the greeting, as the base does, which has no parameter for the class of its protocol."""
        assert self.loop is not None
        protocol = _ReplyProtocol(loop=self.loop, connection_lost_callback=self._on_connection_lost)
        context = await self._get_tls_context() if self.use_tls else None
        try:
            async with asyncio.timeout(timeout):
                self.transport, _ = await self.loop.create_connection(
                    lambda: protocol,
                    sock=self.sock,
                    ssl=context,
                    server_hostname=self.hostname if context else None,
                    ssl_handshake_timeout=timeout if context else None,
                )
        except TimeoutError as error:
            raise aiosmtplib.SMTPConnectTimeoutError("timed out in the TLS handshake") from error
        except (ssl.SSLError, OSError) as error:
            raise aiosmtplib.SMTPConnectError(str(error)) from error

        self.protocol = protocol
        response = await protocol.read_response(timeout=timeout)
        if response.code != aiosmtplib.SMTPStatus.ready:
            raise aiosmtplib.SMTPConnectResponseError(response.code, response.message)
        return response


class _ReplyProtocol(SMTPProtocol):
    def data_received(self, data: bytes) -> None:
        """Remove empty lines. The base takes the first line of its buffer for a reply, whatever it contains."""
        if self._response_pending:
            data = bytes(self._buffer) + data
            self._buffer.clear()
            data = _EMPTY_LINE.sub(b"", data)
        super().data_received(data)

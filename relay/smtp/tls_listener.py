"""Accepts clients of a listener with implicit TLS (RFC 8314 section 3.3), with a limit of handshakes in progress.

`loop.create_server` with TLS makes no connection before the end of the handshake. Clients that connect and send nothing
would then be counted nowhere, and use up the file descriptors of the process.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Self

from relay.smtp.stream import TLS_HANDSHAKE_TIME

MAX_HANDSHAKES = 200
"""TLS handshakes of one listener in progress, at most. For a new one the oldest is ended."""

_ACCEPT_RETRY = 1.0
"""Seconds until the next attempt after the system had no resources for a connection."""


class TlsListener:
    """Does the handshakes of the connections to listening sockets, then makes their protocols."""

    def __init__(
        self,
        listening: Sequence[socket.socket],
        context: ssl.SSLContext,
        make: Callable[[], asyncio.BaseProtocol],
        failed: Callable[[str, ssl.SSLError], None],
    ) -> None:
        """Use `open`."""
        self.sockets = listening
        self._context = context
        self._make = make
        self._failed = failed
        self._handshakes: dict[asyncio.Task[None], None] = {}
        self._accepting = [asyncio.create_task(self._accept(one), name="tls accept") for one in listening]

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        backlog: int,
        context: ssl.SSLContext,
        make: Callable[[], asyncio.BaseProtocol],
        failed: Callable[[str, ssl.SSLError], None],
    ) -> Self:
        """Listen at all addresses of the host. Raises OSError if one is not available.

        `failed` is called with the address of a client whose handshake failed.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with ExitStack() as on_failure:
            listening = [
                on_failure.enter_context(_listen(family, address, backlog)) for family, _, _, _, address in found
            ]
            on_failure.pop_all()
        return cls(listening, context, make, failed)

    @property
    def handshakes(self) -> int:
        """Number of handshakes in progress."""
        return len(self._handshakes)

    async def close(self) -> None:
        """Stop listening, and end the handshakes in progress."""
        tasks = (*self._accepting, *self._handshakes)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listening in self.sockets:
            listening.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, address = await loop.sock_accept(listening)
            except ConnectionError:
                continue
            except OSError:
                await asyncio.sleep(_ACCEPT_RETRY)
                continue
            self._begin(client, str(address[0]))

    def _begin(self, client: socket.socket, address: str) -> None:
        if len(self._handshakes) >= MAX_HANDSHAKES:
            oldest = next(iter(self._handshakes))
            self._handshakes.pop(oldest)
            oldest.cancel()
        task = asyncio.create_task(self._handshake(client, address), name="tls handshake")
        self._handshakes[task] = None
        task.add_done_callback(self._ended)

    async def _handshake(self, client: socket.socket, address: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make, client, ssl=self._context, ssl_handshake_timeout=TLS_HANDSHAKE_TIME
            )
        except ssl.SSLError as error:
            self._failed(address, error)
        except OSError:
            return  # The client is gone, or is too slow; the transport has closed the socket.

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._handshakes.pop(task, None)


def _listen(family: int, address: Any, backlog: int) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(backlog)
    except OSError:
        listening.close()
        raise
    return listening

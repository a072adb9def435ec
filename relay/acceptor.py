"""Accepts connections that begin with something else than their protocol: a PROXY header, a TLS handshake, or both.

The number of connections in these preambles is limited. `loop.create_server` with TLS makes no connection before the
end of the handshake. Clients that connect and send nothing would be counted nowhere, and use up the file descriptors.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from relay.listening_sockets import serve
from relay.mail.transaction import network_of
from relay.networks import Network, is_in, plain_address
from relay.proxy_protocol import ProxyHeader, ProxyHeaderError, octets_missing, parse_proxy_header
from relay.tls_transport import TlsTransport

MAX_PREAMBLES = 200
"""Connections of one listener in their header or TLS handshake, at most.

For a new one the oldest is closed of the network that has most: a flood from one network ends no handshake of others.
"""

TLS_HANDSHAKE_TIME = 30.0
"""Seconds for a TLS handshake."""

PROXY_HEADER_TIME = 5.0
"""Seconds for a PROXY header; a proxy sends it at once."""

_ACCEPT_RETRY = 1.0
"""Seconds until the next attempt after the system had no resources for a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preamble:
    """What connections begin with, in this order."""

    proxies: tuple[Network, ...] | None = None
    """Networks of the proxies, which send a PROXY header; None if connections have none."""

    tls: ssl.SSLContext | None = None


Make = Callable[[ProxyHeader | None], asyncio.Protocol]
"""Makes the protocol of a connection that had this header, None without one."""

Failed = Callable[[str, OSError | ProxyHeaderError], None]
"""Is called with the address of the client, else of the peer, when a connection was closed in its preamble."""


class Acceptor:
    """Reads the preambles of the connections to listening sockets, then makes their protocols."""

    def __init__(self, listening: Sequence[socket.socket], preamble: Preamble, make: Make, failed: Failed) -> None:
        """Accept from these sockets, and close them at the end (`relay.listening_sockets`)."""
        self.sockets = listening
        self._preamble = preamble
        self._make = make
        self._failed = failed
        self._preambles: dict[asyncio.Task[None], str] = {}
        """By task, the network of the peer; the oldest first."""
        self._accepting = [asyncio.create_task(self._accept(one), name="accept") for one in listening]

    def close(self) -> None:
        """Stop listening, and close the connections in their preambles."""
        for task in (*self._accepting, *self._preambles):
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until all is closed."""
        await asyncio.gather(*self._accepting, *self._preambles, return_exceptions=True)
        for listening in self.sockets:
            listening.close()  # A task that was cancelled before its first step has closed nothing.

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    client, address = await loop.sock_accept(listening)
                except ConnectionError:
                    continue
                except OSError:
                    await asyncio.sleep(_ACCEPT_RETRY)
                    continue
                self._begin(client, plain_address(str(address[0])) or str(address[0]))

    def _begin(self, client: socket.socket, peer: str) -> None:
        if len(self._preambles) >= MAX_PREAMBLES:
            [(busiest, _)] = Counter(self._preambles.values()).most_common(1)
            oldest = next(task for task, network in self._preambles.items() if network == busiest)
            self._preambles.pop(oldest)
            oldest.cancel()
        task = asyncio.create_task(self._read_preamble(client, peer), name="preamble of a connection")
        self._preambles[task] = network_of(peer)
        task.add_done_callback(self._ended)

    async def _read_preamble(self, client: socket.socket, peer: str) -> None:
        header, address = None, peer
        try:
            if self._preamble.proxies is not None:
                header = await _proxy_header(client, peer, self._preamble.proxies)
                address = header.client or peer
            await self._connect(client, header)
        except ProxyHeaderError as error:
            self._failed(address, error)
        except OSError as error:  # The transport has closed the socket.
            if self._preamble.tls is not None:
                self._failed(address, error)

    async def _connect(self, client: socket.socket, header: ProxyHeader | None) -> None:
        """Make the protocol of the connection, after its TLS handshake. The socket belongs to its transport then."""
        loop, tls = asyncio.get_running_loop(), self._preamble.tls
        if tls is None:
            await loop.connect_accepted_socket(lambda: self._make(header), client)
            return

        def begin(transport: asyncio.Transport) -> asyncio.Protocol:
            protocol = self._make(header)
            protocol.connection_made(transport)
            return protocol

        encrypted = TlsTransport(tls, begin)
        await loop.connect_accepted_socket(lambda: encrypted, client)
        await encrypted.handshake(TLS_HANDSHAKE_TIME)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._preambles.pop(task, None)


async def accept_connections(
    listening: Sequence[socket.socket], preamble: Preamble, make: Make, failed: Failed
) -> "Sequence[asyncio.Server | Acceptor]":
    """Accept connections to these sockets, and close them at the end; without a preamble by the event loop alone."""
    if preamble == Preamble():
        return await serve(listening, lambda: make(None))
    return [Acceptor(listening, preamble, make, failed)]


async def _proxy_header(client: socket.socket, peer: str, proxies: Sequence[Network]) -> ProxyHeader:
    """Read the PROXY header, and nothing beyond it. Closes the socket if it raises ProxyHeaderError or OSError."""
    with ExitStack() as on_failure:
        on_failure.callback(client.close)
        if not is_in(peer, proxies):
            raise ProxyHeaderError("the peer is not in trusted_proxies")
        try:
            async with asyncio.timeout(PROXY_HEADER_TIME):
                header = parse_proxy_header(await _read_header(client))
        except TimeoutError:
            raise ProxyHeaderError(f"no whole PROXY header within {PROXY_HEADER_TIME:.0f} seconds") from None
        on_failure.pop_all()
    return header


async def _read_header(client: socket.socket) -> bytes:
    loop, data = asyncio.get_running_loop(), b""
    while missing := octets_missing(data):
        block = await loop.sock_recv(client, missing)
        if not block:
            raise ProxyHeaderError("the connection ended before the end of its PROXY header")
        data += block
    return data

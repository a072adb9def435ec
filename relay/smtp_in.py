"""The SMTP server of one listener: opens its socket and serves each client with a connection of `relay.smtp`."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from relay.acceptor import Acceptor, Preamble, accept_connections
from relay.config.bind_addresses import bind_hosts
from relay.config.certificates import Certificate, load_certificate, read_certificate
from relay.config.settings import Listener, Settings
from relay.events.ports import StoreError
from relay.listening_sockets import listen
from relay.log import Emit
from relay.proxy_protocol import ProxyHeader, ProxyHeaderError
from relay.smtp.commands import COMMANDS
from relay.smtp.connection import Connection
from relay.smtp.context import ListenerContext, MessageHandler, ServerResources
from relay.smtp.stream import CLOSED_IN_HANDSHAKE

_SWEEP_INTERVAL = 1.0
"""Seconds between two checks of the deadlines."""


def tls_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """Return a server's TLS context, TLS 1.2 and later (RFC 8996). Without `key` the certificate's file holds the key.

    Raises CertificateError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    found = read_certificate(certificate, key)
    load_certificate(context, certificate, key, found.chain, found.key)
    return context


async def open_sockets(settings: Settings, listener: Listener) -> list[socket.socket]:
    """Listen on the addresses of a listener. Raises OSError that names an address."""
    return await listen(bind_hosts(settings, listener), listener.port, reuse_port=settings.server.reuse_port)


class SmtpServer:
    """Listens on one address and serves its clients; `handler` decides about their mail.

    `settings` is called for every command: a reload applies at once, except to address and TLS. `on_store_error` is
    called when a message could not be stored. Listeners of one process share `resources`. `clock` returns monotonic
    seconds; `pause` sleeps.
    """

    def __init__(
        self,
        listener: Listener,
        settings: Callable[[], Settings],
        handler: MessageHandler,
        *,
        ssl_context: ssl.SSLContext | None = None,
        log: Emit,
        on_store_error: Callable[[StoreError], None],
        resources: ServerResources | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if (listener.tls == "none") != (ssl_context is None):
            needs = "needs a TLS context" if ssl_context is None else "has tls = none and takes no TLS context"
            raise ValueError(f'listener "{listener.name}" {needs}')

        self._service = ListenerContext(
            listener=listener,
            settings=settings,
            handler=handler,
            on_store_error=on_store_error,
            log=log,
            ssl_context=ssl_context,
            resources=resources or ServerResources(settings().server.data_dir),
            clock=clock,
            pause=pause,
        )
        self._service.resources.connections.add_listener(listener)
        self._connections: set[Connection] = set()
        self._servers: Sequence[asyncio.Server | Acceptor] = ()
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The TCP port in use; with port 0 configured, the one the system chose."""
        if not self._servers:
            raise RuntimeError("the server has not been started")
        return int(self._servers[0].sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """Number of connected clients."""
        return len(self._connections)

    async def start(self, listening: Sequence[socket.socket] = ()) -> None:
        """Accept connections to these sockets, or open those of the listener. Raises OSError that names an address."""
        listener = self._service.listener
        preamble = Preamble(
            proxies=listener.trusted_proxies if listener.proxy_protocol else None,
            tls=self._service.ssl_context if listener.tls == "implicit" else None,
        )

        def make(header: ProxyHeader | None) -> Connection:
            return Connection(self._service, COMMANDS, self._connections, header)

        opened = listening or await open_sockets(self._service.settings(), listener)
        self._servers = await accept_connections(opened, preamble, make, self._failed)
        self._sweeper = asyncio.create_task(self._sweep_on())

    def _failed(self, client: str, error: OSError | ProxyHeaderError) -> None:
        """Log a connection that was closed before its greeting."""
        line = "proxy.refused" if isinstance(error, ProxyHeaderError) else "smtp.tls_failed"
        text = str(error) or CLOSED_IN_HANDSHAKE
        self._service.log(line, client=client, listener=self._service.listener.name, error=text)

    async def stop(self, grace: float) -> None:
        """Stop listening, close idle connections, and wait at most `grace` seconds for open transactions.

        The remaining connections are then aborted; an acceptance in progress still completes.
        """
        self._service.stopping = True
        for server in self._servers:
            server.close()
            if isinstance(server, Acceptor):
                await server.wait_closed()

        for connection in tuple(self._connections):
            connection.stop()

        tasks = [task for connection in self._connections if (task := connection.handler) is not None]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=grace)
            for connection in tuple(self._connections):
                connection.abort()
            if pending:
                await asyncio.wait(pending)
        if self._sweeper is not None:
            self._sweeper.cancel()

    def use_certificate(self, certificate: Path, key: Path | None, found: Certificate) -> None:
        """Load the files, which were read as `found`, for later handshakes. Raises CertificateError."""
        context = self._service.ssl_context
        if context is not None:
            load_certificate(context, certificate, key, found.chain, found.key)

    def sweep(self, now: float) -> None:
        """Close the connections whose deadline has passed at `now`. Under stress strangers have shorter ones."""
        self._observe_stress()
        for connection in tuple(self._connections):
            connection.sweep(now)

    def _observe_stress(self) -> None:
        """Log when the listener runs out of connections, and when that ends."""
        service, name = self._service, self._service.listener.name
        stressed = service.resources.connections.is_stressed(name, service.settings().smtp, before=service.stressed)
        if stressed != service.stressed:
            service.stressed = stressed
            line = "smtp.stressed" if stressed else "smtp.unstressed"
            service.log(line, listener=name, connections=service.resources.connections.count(name))

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL)
            self.sweep(self._service.clock())

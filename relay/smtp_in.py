"""The SMTP server of one listener: it opens the socket, and gives every client a connection of `relay.smtp`."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from relay.config.settings import Listener, Settings
from relay.config.values import parse_host_port
from relay.log import Emit
from relay.smtp.commands import COMMANDS
from relay.smtp.connection import Connection
from relay.smtp.service import Acceptor, Resources, Service
from relay.smtp.stream import TLS_HANDSHAKE_TIME

_SWEEP_INTERVAL = 1.0


_BACKLOG = 1024


def tls_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """Return a server's TLS context, TLS 1.2 and later (RFC 8996); without `key` the certificate's file holds it.

    `load_cert_chain` called on it again renews the certificate for the handshakes to come. Raises OSError naming the
    file when it holds no certificate with its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise OSError(
            f"{certificate}: no certificate in PEM with its key in {key or 'the same file'}: {error}"
        ) from error
    return context


class SmtpServer:
    """Listens on one address and serves its clients.

    `settings` is asked anew for every command, so a reload holds at once; address and TLS stay as they were. Listeners
    of one process share `resources`. `clock` answers monotonic seconds and `pause` sleeps, both replaceable for tests.
    """

    def __init__(
        self,
        listener: Listener,
        settings: Callable[[], Settings],
        acceptor: Acceptor,
        ssl_context: ssl.SSLContext | None,
        log: Emit,
        *,
        resources: Resources | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if (listener.tls == "none") != (ssl_context is None):
            needs = "needs a TLS context" if ssl_context is None else "has tls = none and takes no TLS context"
            raise ValueError(f'listener "{listener.name}" {needs}')
        resources = resources or Resources(settings().server.data_dir)
        self._service = Service(listener, settings, acceptor, log, ssl_context, resources, clock, pause)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The TCP port listened on; the one the system chose when the configured one is 0."""
        if self._server is None:
            raise RuntimeError("the server has not been started")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def start(self) -> None:
        """Listen; raise OSError when the address cannot be had."""
        listener, context = self._service.listener, self._service.ssl_context
        address = parse_host_port(listener.address)
        implicit = listener.tls == "implicit"
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._service, COMMANDS, self._connections),
            address.host,
            address.port,
            ssl=context if implicit else None,
            ssl_handshake_timeout=TLS_HANDSHAKE_TIME if implicit else None,
            backlog=_BACKLOG,
            reuse_address=True,
        )
        self._sweeper = asyncio.create_task(self._sweep_on())

    async def stop(self, grace: float) -> None:
        """Stop taking clients, say goodbye to idle ones, and let messages in hand end within `grace` seconds.

        After that connections are dropped; what is being accepted is still accepted whole.
        """
        self._service.stopping = True
        if self._server is not None:
            self._server.close()
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

    def sweep(self, now: float) -> None:
        """Cut off the clients whose time is over at `now`."""
        for connection in tuple(self._connections):
            connection.sweep(now)

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL)
            self.sweep(self._service.clock())

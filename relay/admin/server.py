"""HTTP server of an aiohttp application, on a Unix socket or a TCP address."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web

from relay.listening_sockets import BACKLOG, serve
from relay.metrics import CONTENT_TYPE
from relay.tracker import responses

MAX_CONNECTIONS = 50
"""Connections of one TCP listener, at most. For a new one the oldest is closed that has no request with a login."""

STOP_TIME = 5.0
"""Seconds that requests in progress have when the server stops."""


def has_no_login(_: web.BaseRequest) -> bool:
    """Return False: a request has no login."""
    return False


class _Refused(asyncio.Protocol):
    """A connection that is closed at once: all others have requests with a login."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class AdminServer:
    """One application on one address. `has_login` says whether a request has shown a login."""

    def __init__(self, app: web.Application, has_login: Callable[[web.BaseRequest], bool] = has_no_login) -> None:
        self._has_login = has_login
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=STOP_TIME)
        self._listeners: Sequence[asyncio.Server] = ()

    async def start_unix(self, listening: socket.socket) -> None:
        """Serve the clients of a Unix socket, of any number, and close it at the end."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening, backlog=BACKLOG).start()

    async def start_tcp(self, listening: Sequence[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Serve the clients of TCP sockets, and close these at the end."""
        await self._runner.setup()
        self._listeners = await serve(listening, self._new_connection, tls)

    async def stop(self) -> None:
        """Stop listening, and end the requests in progress."""
        for listener in self._listeners:
            listener.close()
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The TCP port in use."""
        if not self._listeners:
            raise RuntimeError("the server does not listen on TCP")
        return int(self._listeners[0].sockets[0].getsockname()[1])

    def _new_connection(self) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection. Clients that send nothing must not use up the files of mail.

        They must not end the requests of others either: one with a login is finished.
        """
        server = self._runner.server
        assert server is not None
        connected = [one for one in server.connections if one.transport is not None]
        if len(connected) < MAX_CONNECTIONS:
            return server()
        displaced = next((one for one in connected if not self._is_served(one)), None)
        if displaced is None:
            return _Refused()
        transport = displaced.transport
        displaced.force_close()
        if transport is not None:
            transport.abort()
        return server()

    def _is_served(self, connection: web.RequestHandler) -> bool:
        request = connection._current_request
        return request is not None and self._has_login(request)


def metrics_application(
    exposition: Callable[[], Awaitable[bytes]], readiness: Callable[[], Mapping[str, bool]]
) -> web.Application:
    """Return the application for Prometheus and load balancers, with /metrics and /readyz only."""

    async def metrics(_: web.Request) -> web.Response:
        return metrics_response(await exposition())

    async def ready(_: web.Request) -> web.Response:
        return responses.readiness(readiness())

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/readyz", ready)
    return app


def metrics_response(exposition: bytes) -> web.Response:
    """Return metrics in the text format of Prometheus."""
    return web.Response(body=exposition, headers={"Content-Type": CONTENT_TYPE})

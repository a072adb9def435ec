"""HTTP server of an aiohttp application, on a Unix socket or a TCP address."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from aiohttp import web

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
        self._listener: asyncio.Server | None = None

    async def start_unix(self, path: Path) -> None:
        """Listen on a Unix socket that only this user may open. The socket of a dead process is replaced.

        Raises OSError that names the socket.
        """
        await self._runner.setup()
        before = os.umask(0o177)
        try:
            await asyncio.to_thread(path.unlink, missing_ok=True)
            await web.UnixSite(self._runner, str(path)).start()
        except OSError as error:
            raise OSError(f"admin.socket: {path}: {error.strerror or error}") from error
        finally:
            os.umask(before)

    async def start_tcp(self, hosts: Sequence[str], port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a port of these hosts."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._new_connection, hosts, port, reuse_address=True, ssl=tls)

    async def stop(self) -> None:
        """Stop listening, and end the requests in progress."""
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The TCP port in use."""
        if self._listener is None:
            raise RuntimeError("the server does not listen on TCP")
        return int(self._listener.sockets[0].getsockname()[1])

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

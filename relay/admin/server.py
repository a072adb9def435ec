"""HTTP server of an aiohttp application, on a Unix socket or a TCP address."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web


class AdminServer:
    """One application on one address."""

    def __init__(self, app: web.Application) -> None:
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

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

    async def start_tcp(self, hosts: Sequence[str], port: int) -> None:
        """Listen on a port of these hosts."""
        await self._runner.setup()
        for host in hosts:
            await web.TCPSite(self._runner, host, port).start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


def metrics_application(exposition: Callable[[], bytes]) -> web.Application:
    """Return the application for Prometheus, with the route /metrics only."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    return app

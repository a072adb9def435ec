"""The listening sockets of the HTTP servers.

They are open before the listeners of mail, and before the modules of HTTP are loaded (decision 0064). A client that
finds the port of mail open finds the others open too, and waits for its answer. A port in use ends the start before
mail is accepted.
"""

import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

from relay.config import Settings
from relay.config.bind_addresses import bind_hosts
from relay.config.values import Listening
from relay.listening_sockets import listen, listen_unix


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSockets:
    """The sockets of each server; none of a server without an address."""

    tracker: Sequence[socket.socket]
    unix: socket.socket | None
    """Of the admin API."""
    dev: Sequence[socket.socket]
    """Of the pages of `relay serve --dev`."""
    admin: Sequence[socket.socket]
    console: Sequence[socket.socket]
    api: Sequence[socket.socket]
    metrics: Sequence[socket.socket]


async def open_http_sockets(settings: Settings, stack: AsyncExitStack) -> HttpSockets:
    """Listen on all addresses of HTTP. `stack` closes the sockets. Raises OSError that names an address."""

    async def opened(hosts: Sequence[str], port: int, *, reuse_port: bool = False) -> Sequence[socket.socket]:
        return [stack.enter_context(one) for one in await listen(hosts, port, reuse_port=reuse_port)]

    async def of(section: Listening, *, reuse_port: bool = False) -> Sequence[socket.socket]:
        if not section.address:
            return ()
        return await opened(bind_hosts(settings, section), section.port, reuse_port=reuse_port)

    admin, dev_port = settings.admin, urlsplit(settings.tracker.base_url).port or 80
    path = settings.server.data_dir / admin.socket
    return HttpSockets(
        tracker=await of(settings.tracker, reuse_port=settings.server.reuse_port),
        unix=stack.enter_context(listen_unix(path)) if admin.socket else None,
        dev=await opened(("127.0.0.1",), dev_port) if settings.any_login else (),
        admin=await of(admin),
        console=await of(settings.console),
        api=await of(settings.api),
        metrics=await of(settings.metrics),
    )

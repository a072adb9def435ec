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
    admin_socket: socket.socket | None
    """The Unix socket of the admin API."""
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

    async def of_section(section: Listening, *, reuse_port: bool = False) -> Sequence[socket.socket]:
        hosts = bind_hosts(settings, section) if section.address else ()
        return await opened(hosts, section.port, reuse_port=reuse_port)

    path = settings.server.data_dir / settings.admin.socket
    dev_hosts = ("127.0.0.1",) if settings.any_login else ()
    return HttpSockets(
        tracker=await of_section(settings.tracker, reuse_port=settings.server.reuse_port),
        admin_socket=stack.enter_context(listen_unix(path)) if settings.admin.socket else None,
        dev=await opened(dev_hosts, urlsplit(settings.tracker.base_url).port or 80),
        admin=await of_section(settings.admin),
        console=await of_section(settings.console),
        api=await of_section(settings.api),
        metrics=await of_section(settings.metrics),
    )

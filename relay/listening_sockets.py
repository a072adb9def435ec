"""Listening sockets. They may be opened before the servers that accept from them: clients wait in the backlog."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

BACKLOG = 1024
"""Connections that the system keeps until they are accepted."""


async def listen(hosts: Sequence[str], port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Listen at all addresses of the hosts; port 0 means any free port. Raises OSError that names the address.

    With `reuse_port` other processes of this user may listen there too.
    """
    loop = asyncio.get_running_loop()
    with ExitStack() as on_failure:
        listening = [
            on_failure.enter_context(_listen(family, address, reuse_port=reuse_port))
            for host in hosts
            for family, _, _, _, address in await loop.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        ]
        on_failure.pop_all()
    return listening


async def serve(
    listening: Sequence[socket.socket], make: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None = None
) -> list[asyncio.Server]:
    """Accept connections to these sockets with a protocol for each, and close the sockets at the end."""
    loop = asyncio.get_running_loop()
    return [await loop.create_server(make, sock=one, backlog=BACKLOG, ssl=tls) for one in listening]


def listen_unix(path: Path) -> socket.socket:
    """Listen on a Unix socket that only this user may open. The socket of a dead process is replaced.

    Raises OSError that names the socket.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.setblocking(False)
        path.unlink(missing_ok=True)
        listening.bind(str(path))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(f"{path}: {error.strerror or error}") from error
    finally:
        os.umask(before)
    return listening


def _listen(family: int, address: Any, *, reuse_port: bool) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        reason = (error.strerror or str(error)).lower()
        raise OSError(error.errno, f"cannot listen on {address[0]} port {address[1]}: {reason}") from error
    return listening

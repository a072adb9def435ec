"""A server for what no server should do, in threads: for clients that block."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socket import create_server, socket
from threading import Event, Thread

Talk = Callable[[socket, Event], None]


@contextmanager
def served(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on a free port: each connection is given to `talk`, over TLS where there is a context."""
    ended = Event()

    def serve(connection: socket) -> None:
        with suppress(OSError), connection:
            if context is None:
                talk(connection, ended)
                return
            with context.wrap_socket(connection, server_side=True) as secured:
                talk(secured, ended)

    def accept() -> None:
        with suppress(OSError):
            while True:
                Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    with create_server(("127.0.0.1", 0)) as listening:
        Thread(target=accept, daemon=True).start()
        yield int(listening.getsockname()[1])
        ended.set()

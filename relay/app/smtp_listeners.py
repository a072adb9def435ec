"""The SMTP listeners: their sockets, servers and certificates."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain

from relay.app.certificates import CertificateWatch
from relay.app.context import AppContext
from relay.app.open_files import possible_connections
from relay.config.settings import Listener
from relay.mail.transaction import ListenerKind
from relay.smtp.context import MessageHandler, ServerResources
from relay.smtp_in import SmtpServer, open_sockets, tls_context
from relay.submission.credential_keys import CredentialKeys

DRAIN = 10.0
"""Seconds that open transactions have when the relay stops. A client whose transaction is aborted sends it again."""


@dataclass(frozen=True, slots=True)
class _WaitingListener:
    """A listener whose clients wait in the backlog for its server."""

    listener: Listener
    tls: ssl.SSLContext | None
    sockets: Sequence[socket.socket]


class SmtpListeners:
    """The listeners, which share one set of resources. `servers` are by name of the listener."""

    def __init__(self, context: AppContext, credential_keys: CredentialKeys) -> None:
        self._context = context
        settings = context.settings()
        possible = possible_connections(settings.smtp.max_connections, settings)
        self._resources = ServerResources(settings.server.data_dir, most_connections=possible, keys=credential_keys)
        self._waiting: list[_WaitingListener] = []
        self._sockets = ExitStack()
        self.servers: dict[str, SmtpServer] = {}
        self.certificates = CertificateWatch(
            self.servers,
            context.settings,
            metrics=context.observer.metrics,
            log=context.log,
            clock=context.clock,
            alert=context.alert,
        )

    async def listen(self) -> None:
        """Open the sockets of all listeners. Raises CertificateError, and OSError that names an address."""
        settings, resources = self._context.settings(), self._resources
        certified = [(listener, _tls_context(listener)) for listener in settings.listeners]
        for listener, tls in certified:
            sockets = await open_sockets(settings, listener)
            for one in sockets:
                self._sockets.enter_context(one)
            self._waiting.append(_WaitingListener(listener, tls, sockets))
            # Before any is served: the first one must not use up the connections of the others.
            resources.connections.add_listener(listener)
            count = partial(resources.connections.count, listener.name)
            self._context.observer.metrics.smtp_connections.labels(listener.name).set_function(count)

    async def serve(self, kind: ListenerKind, handler: MessageHandler) -> None:
        """Accept connections at the listeners of a kind. The handler decides about their mail."""
        observer, resources = self._context.observer, self._resources
        for one in [each for each in self._waiting if each.listener.kind == kind]:
            self.servers[one.listener.name] = server = SmtpServer(
                one.listener,
                self._context.settings,
                handler,
                ssl_context=one.tls,
                log=observer.smtp,
                on_store_error=observer.store_trouble,
                resources=resources,
            )
            await server.start(one.sockets)
            self._waiting.remove(one)

    async def stop(self) -> None:
        """Close the listeners; open transactions have DRAIN seconds."""
        with self._sockets:
            for one in chain.from_iterable(each.sockets for each in self._waiting):
                one.close()
            await asyncio.gather(*(server.stop(DRAIN) for server in self.servers.values()))


def _tls_context(listener: Listener) -> ssl.SSLContext | None:
    if listener.tls == "none" or listener.certificate is None:
        return None
    return tls_context(listener.certificate, listener.key)

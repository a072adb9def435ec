"""HTTP connections of the tracker: those of aiohttp, with deadlines and limits in addition.

A connection is closed if no request on it was answered for `answer_timeout` seconds. This covers clients that send
nothing, send slowly, never end a body or never read an answer. Above the limit, the connection
that has waited longest is closed, so that a flood from one address closes only its own connections.

A connection starts on the fast path and stays there while it sends one pixel request of the usual form at a time. All
other data, and everything after it, goes to aiohttp. The two never share a request.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from relay.proxy_protocol import ProxyHeader
from relay.tracker.client import client_group
from relay.tracker.connection_limits import ConnectionLimits
from relay.tracker.fast_path import FastPath
from relay.tracker.responses import plain

MAX_TARGET = 12 * 1024
"""Octets of a request target, at most: the token of a URL of 8 KiB fits, and proxies reject longer ones."""

MAX_FIELD = 8 * 1024
"""Octets of a header field, at most."""

MAX_FIELDS = 64
"""Header fields of a request, at most."""

MAX_UNANSWERED = 64 * 1024
"""Octets a client may send without getting an answer; then its connection is closed."""

LINGERING_TIME = 1.0
"""Seconds for which a closing connection stays open, so that its last answer arrives."""


Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ConnectionTable:
    """The open connections, ordered by the time of opening or of the last answer.

    Clients in `trusted` have no limit of their own.
    """

    def __init__(self, limits: ConnectionLimits, trusted: Container[str]) -> None:
        self._limits = limits
        self._trusted = trusted
        self._all: OrderedDict[Connection, float] = OrderedDict()
        self._by_client: dict[str, OrderedDict[Connection, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, connection: "Connection", now: float) -> None:
        """Add a connection; if that is one too many, close the one that has waited longest."""
        self._all[connection] = now
        same_client = self._by_client.setdefault(connection.group, OrderedDict())
        same_client[connection] = None
        if len(same_client) > self._limits.connections_per_client and connection.client not in self._trusted:
            self._abort(next(iter(same_client)))
        if len(self._all) > self._limits.connections:
            self._abort(next(iter(self._all)))

    def answered(self, connection: "Connection", now: float) -> None:
        """Record that a request on the connection was answered."""
        if connection in self._all:
            self._all[connection] = now
            self._all.move_to_end(connection)
            self._by_client[connection.group].move_to_end(connection)

    def remove(self, connection: "Connection") -> None:
        """Remove a connection, if it is in the table."""
        if self._all.pop(connection, None) is None:
            return
        same_client = self._by_client[connection.group]
        del same_client[connection]
        if not same_client:
            del self._by_client[connection.group]

    def abort_overdue(self, now: float) -> int:
        """Close the connections without an answer for too long, and return their number."""
        aborted = 0
        while self._all:
            connection, since = next(iter(self._all.items()))
            if since + self._limits.answer_timeout > now:
                break
            self._abort(connection)
            aborted += 1
        return aborted

    def _abort(self, connection: "Connection") -> None:
        self.remove(connection)
        connection.abort()


class Connection(web.RequestHandler):
    """A connection in the table, with error responses of the tracker."""

    __slots__ = ("_answer_timeout", "_fast_path", "_socket", "_table", "_unanswered", "client", "group", "pending")

    def __init__(self, server: "Server", header: ProxyHeader | None, **options: Any) -> None:
        """`header` is the PROXY header in front of the connection, None if there is none."""
        super().__init__(server, **options)
        self._table = server.table
        self._fast_path: FastPath | None = server.fast_path
        self.pending = b""
        self._answer_timeout = server.limits.answer_timeout
        self._unanswered = 0
        self._socket: asyncio.Transport | None = None
        self.client = header.client if header is not None else ""
        self.group = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Add the connection to the table."""
        super().connection_made(transport)
        self._socket = self.transport
        peer = transport.get_extra_info("peername")
        self.client = self.client or (str(peer[0]) if isinstance(peer, tuple) else "")
        self.group = client_group(self.client)
        self._table.add(self, self._loop.time())

    def connection_lost(self, exc: BaseException | None) -> None:
        """Remove the connection from the table."""
        self._table.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass data to the fast path or to aiohttp; close the connection if it exceeds `MAX_UNANSWERED`."""
        if self._fast_path is not None:
            if not (self.pending or self._paused or self._close) and self._fast_path.accept(self, data):
                self.pending = data
                return
            pending, self.pending, self._fast_path = self.pending, b"", None
            if pending:
                self.data_received(pending)

        if self._unanswered > MAX_UNANSWERED:
            self.abort()
            return
        self._unanswered += len(data)
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp always closes at once
        """Keep the connection after the client has closed its side until answers are sent (RFC 9112 section 9.6)."""
        idle = not self.pending and (
            self._fast_path is not None or (self._waiter is not None and not self._waiter.done())
        )
        if not idle:
            self._loop.call_later(LINGERING_TIME, self.force_close)
        return not idle

    def answered(self, now: float) -> None:
        """Record that a request was answered at this time of the event loop, and restart the deadline."""
        self._unanswered = 0
        self._next_keepalive_close_time = now + self._answer_timeout
        self._table.answered(self, now)

    def respond(self, answer: bytes | None, now: float) -> None:
        """Send the answer of the fast path at this time of the event loop; None passes the request to aiohttp."""
        if self.transport is None:
            return
        if answer is None:
            self.data_received(b"")
        else:
            self.pending = b""
            self.transport.write(answer)
            self._table.answered(self, now)

    def abort(self) -> None:
        """Close the connection at once and discard unsent data."""
        self.force_close()
        if self._socket is not None:
            self._socket.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (the text of aiohttp may repeat the request)
    ) -> web.StreamResponse:
        """Return the response to a request that is invalid or failed. It repeats nothing of the request."""
        match exc:
            case LineTooLong() if exc.args[1] == MAX_TARGET:
                answer = plain(414, "The address is too long.", Connection="close")
            case LineTooLong():
                answer = plain(431, "A header field is too long.", Connection="close")
            case HttpProcessingError() | web.RequestPayloadError():
                answer = plain(400, "This is not a valid HTTP request.", Connection="close")
            case ConnectionError():
                answer = plain(400, "The connection was lost.", Connection="close")
            case _:
                self.logger.error("the tracker failed to answer a %s request: %r", request.method, exc, exc_info=exc)
                answer = plain(status, "Something went wrong here.", Connection="close")
        answer.force_close()
        return answer


class Server(web.Server):
    """Creates a `Connection` for each accepted connection."""

    def __init__(self, answer: Answer, fast_path: FastPath, limits: ConnectionLimits, trusted: Container[str]) -> None:
        super().__init__(
            answer,
            access_log=None,
            keepalive_timeout=limits.answer_timeout,
            lingering_time=LINGERING_TIME,
            max_line_size=MAX_TARGET,
            max_field_size=MAX_FIELD,
            max_headers=MAX_FIELDS,
            auto_decompress=False,
        )
        self.fast_path = fast_path
        self.limits = limits
        self.table = ConnectionTable(limits, trusted)

    def __call__(self, header: ProxyHeader | None = None) -> Connection:
        """Return the protocol of a new connection, which had this PROXY header."""
        return Connection(self, header, loop=self._loop, **self._kwargs)

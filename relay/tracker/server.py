"""Connections of the tracker: aiohttp's, with the deadlines and limits it lacks.

One rule covers clients that say nothing, send a byte a second, never end a body or never read an answer: a connection
that has not had a request answered for `patience` seconds, since it was opened or since the last answer, is cut. Where
there are too many, the one that has waited longest makes room for the new one, so a flood from one address costs that
address its own connections, and a reader is never turned away.

A connection begins in the express lane, and stays as long as it brings nothing but commonplace requests, one at a
time. The first octets that are anything else go to aiohttp, and all that follow them: the two never share a request.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from relay.tracker.fast_path import PixelFastPath
from relay.tracker.responses import plain

MAX_TARGET = 12 * 1024
"""Octets of a request target: the token of a URL of 8 KiB fits, and longer ones no browser and proxy agree on."""


MAX_FIELD = 8 * 1024
"""Octets of a header field."""


MAX_FIELDS = 64


MAX_UNANSWERED = 64 * 1024
"""Octets after which a client that got no answer is not read any further."""


LINGERING_TIME = 1.0
"""Seconds a connection that is about to end still has, so that an answer on its way is not lost."""


Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be, in total and from one client, and how many seconds each may waste."""

    connections: int = 2000
    connections_per_client: int = 100
    patience: float = 10.0


class ConnectionTable:
    """The open connections, by how long ago they were opened or last answered. `trusted` clients have no own limit."""

    def __init__(self, limits: Limits, trusted: Callable[[str], bool]) -> None:
        self._limits = limits
        self._trusted = trusted
        self._all: OrderedDict[Connection, float] = OrderedDict()
        self._by_client: dict[str, OrderedDict[Connection, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, connection: "Connection", now: float) -> None:
        """Note a new connection, and cut the one that has waited longest when that is one too many."""
        self._all[connection] = now
        mine = self._by_client.setdefault(connection.group, OrderedDict())
        mine[connection] = None
        if len(mine) > self._limits.connections_per_client and not self._trusted(connection.client):
            self._cut(next(iter(mine)))
        if len(self._all) > self._limits.connections:
            self._cut(next(iter(self._all)))

    def answered(self, connection: "Connection", now: float) -> None:
        """Note that a request on the connection was answered."""
        if connection in self._all:
            self._all[connection] = now
            self._all.move_to_end(connection)
            self._by_client[connection.group].move_to_end(connection)

    def leave(self, connection: "Connection") -> None:
        """Forget a connection that is gone."""
        if self._all.pop(connection, None) is None:
            return
        mine = self._by_client[connection.group]
        del mine[connection]
        if not mine:
            del self._by_client[connection.group]

    def cut_overdue(self, now: float) -> int:
        """Cut the connections whose time is over and return how many."""
        cut = 0
        while self._all:
            connection, since = next(iter(self._all.items()))
            if since + self._limits.patience > now:
                break
            self._cut(connection)
            cut += 1
        return cut

    def _cut(self, connection: "Connection") -> None:
        self.leave(connection)
        connection.cut()


class Connection(web.RequestHandler):
    """A connection that is in the book, and whose errors are answered in the tracker's own words."""

    __slots__ = ("_book", "_lane", "_patience", "_socket", "_unanswered", "asked", "client", "group")

    def __init__(self, server: "Server", **options: Any) -> None:
        super().__init__(server, **options)
        self._book = server.book
        self._lane: PixelFastPath | None = server.lane
        self.asked = b""
        self._patience = server.limits.patience
        self._unanswered = 0
        self._socket: asyncio.Transport | None = None
        self.client = ""
        self.group = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the connection into the book."""
        super().connection_made(transport)
        self._socket = self.transport
        peer = transport.get_extra_info("peername")
        self.client = str(peer[0]) if isinstance(peer, tuple) else ""
        self.group = _group(self.client)
        self._book.enter(self, self._loop.time())

    def connection_lost(self, exc: BaseException | None) -> None:
        """Strike the connection from the book."""
        self._book.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a commonplace request; read on else, unless the client sends without end and no request comes of it."""
        if self._lane is not None:
            if not (self.asked or self._paused or self._close) and self._lane.take(self, data):
                self.asked = data
                return
            asked, self.asked, self._lane = self.asked, b"", None
            if asked:
                self.data_received(asked)
        if self._unanswered > MAX_UNANSWERED:
            self.cut()
            return
        self._unanswered += len(data)
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp always closes at once
        """Give a client that has ended its side time to get the answers it asked for (RFC 9112 section 9.6)."""
        idle = not self.asked and (self._lane is not None or (self._waiter is not None and not self._waiter.done()))
        if not idle:
            self._loop.call_later(LINGERING_TIME, self.force_close)
        return not idle

    def answered(self) -> None:
        """Note that a request is answered: the client has its time again."""
        now = self._loop.time()
        self._unanswered = 0
        self._next_keepalive_close_time = now + self._patience
        self._book.answered(self, now)

    def settle(self, answer: bytes | None) -> None:
        """Send what the express lane answers to the request it took; without an answer, leave the lane with it."""
        if self.transport is None:
            return
        if answer is None:
            self.data_received(b"")
        else:
            self.asked = b""
            self.transport.write(answer)
            self.answered()

    def cut(self) -> None:
        """End the connection at once, whatever is still to be written."""
        self.force_close()
        if self._socket is not None:
            self._socket.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (aiohttp's words may repeat the request)
    ) -> web.StreamResponse:
        """Answer a request that cannot be read, or whose answer failed, without repeating anything of it."""
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
    """Makes a `Connection` of every connection that comes in."""

    def __init__(self, answer: Answer, lane: PixelFastPath, limits: Limits, trusted: Callable[[str], bool]) -> None:
        super().__init__(
            answer,
            access_log=None,
            keepalive_timeout=limits.patience,
            lingering_time=LINGERING_TIME,
            max_line_size=MAX_TARGET,
            max_field_size=MAX_FIELD,
            max_headers=MAX_FIELDS,
            auto_decompress=False,
        )
        self.lane = lane
        self.limits = limits
        self.book = ConnectionTable(limits, trusted)

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)


def _group(client: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 one subscriber has of IPv6 (RFC 6177)."""
    if ":" not in client:
        return client
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if not isinstance(address, IPv6Address):
        return client
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))

"""The stream of one open connection: reads whole replies, writes commands and content, each with a timeout."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable

from relay.delivery.reply_parser import MalformedReply, ReplyReader
from relay.mail.reply import Reply

BLOCK = 64 * 1024
"""Octets of content written before a wait for the server to read."""

MAX_UNREAD = 200
"""Replies that may wait to be read, at most: more than the commands of the largest transaction."""

_CLOSED = Reply(451, "4.4.2", "the receiving server closed the connection")

_UNEXPECTED = Reply(451, "4.5.0", "the receiving server sent a reply without a command")


class StreamError(Exception):
    """The connection is unusable. `reply` is a reply of our own that gives the reason."""

    def __init__(self, reply: Reply, *, closed_by_server: bool = False, tls_failed: bool = False) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.closed_by_server = closed_by_server
        self.tls_failed = tls_failed


class ClientStream(asyncio.Protocol):
    """Reads and writes an open transport. After a StreamError the transport is closed."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._replies: deque[Reply | MalformedReply] = deque()
        self._error: StreamError | None = None
        self.is_open = True
        """Whether the connection has not failed so far."""
        self._paused = False
        self._idle = False
        self._deadline: float | None = None
        self._transaction_timeout = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._wait_ends_at = 0.0
        self._wait = ("", "", 0.0)
        """Who is waited for, for what, and the seconds of that wait."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._on_reply: Callable[[Reply], None] | None = None
        transport.set_protocol(self)
        if transport.is_closing():
            self._fail(StreamError(_CLOSED, closed_by_server=True))

    def expect_nothing(self) -> None:
        """Treat octets that arrive as an error: a server sends them before it closes an idle connection."""
        self._idle = True
        if self._replies or not self._reader.is_clean:
            self._fail(StreamError(_UNEXPECTED))

    def expect_replies(self) -> None:
        """Expect replies again."""
        self._idle = False

    def begin_transaction(self, timeout: float) -> None:
        """Expect replies, for `timeout` seconds, in which every wait must end: a transaction until its final dot."""
        self._idle = False
        self._deadline = self._loop.time() + timeout
        self._transaction_timeout = timeout

    def end_transaction(self) -> None:
        """End the span: the final dot was sent. The server may have accepted, so that its reply is waited for."""
        self._deadline = None

    def write(self, data: bytes | memoryview) -> None:
        """Send a command or a group of commands."""
        if self._error is None:
            self._transport.write(data)

    async def write_body(self, body: bytes, timeout: float, end: bytes = b"") -> bool:
        """Send content in blocks, each within the timeout (seconds), the last with its end.

        Return False for a reply before the end.
        """
        view = memoryview(body)
        for start in range(0, max(len(body), 1), BLOCK):
            if self._replies:
                return False
            if self._error is not None:
                raise self._error
            is_last = start + BLOCK >= len(body)
            self.write(b"".join((view[start:], end)) if is_last and end else view[start : start + BLOCK])
            while self._paused and not self._replies:
                await self._begin_wait(timeout, "take the content")
        return True

    async def read(self, timeout: float, on_reply: Callable[[Reply], None] | None = None) -> Reply:
        """Return the next reply within the timeout (seconds).

        `on_reply` is called with it when its octets arrive. A busy process may resume this coroutine many milliseconds
        later.
        """
        if on_reply is not None:
            self._on_reply = on_reply
            self._notify_reader()
        try:
            while not self._replies:
                await self._begin_wait(timeout, "answer")
        finally:
            self._on_reply = None
        return self._next()

    def received(self) -> Reply | None:
        """Return the next reply if its octets have arrived: replies to a group of commands often arrive together."""
        return self._next() if self._replies else None

    def _next(self) -> Reply:
        reply = self._replies.popleft()
        if isinstance(reply, MalformedReply):
            raise self._fail(StreamError(Reply(451, "4.5.0", f"the receiving server sent {reply.what}")))
        return reply

    def close(self) -> None:
        """Close the connection."""
        self._fail(StreamError(_CLOSED))

    def abort(self) -> None:
        """Drop the connection and all octets not yet sent."""
        self._transport.abort()
        self.close()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._idle:
            self._fail(StreamError(_UNEXPECTED))
            return
        self._replies.extend(self._reader.feed(data))
        if self._on_reply is not None:
            self._notify_reader()
        if len(self._replies) > MAX_UNREAD:
            self._fail(StreamError(_UNEXPECTED))
        if self._replies:
            self._wake_waiter()

    def eof_received(self) -> None:
        """See asyncio.Protocol."""
        self._fail(StreamError(_CLOSED, closed_by_server=True))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        reply = Reply(451, "4.4.2", f"connection broken: {exc}") if exc else _CLOSED
        self._fail(StreamError(reply, closed_by_server=True, tls_failed=isinstance(exc, ssl.SSLError)))

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = False
        self._wake_waiter()

    def _notify_reader(self) -> None:
        """Call `on_reply` of the current read with the next reply."""
        if self._on_reply is not None and self._replies:
            on_reply, self._on_reply = self._on_reply, None
            if isinstance(self._replies[0], Reply):
                on_reply(self._replies[0])

    def _begin_wait(self, timeout: float, what: str) -> asyncio.Future[None]:
        """Return what ends with a reply, an error or an empty write buffer. After the timeout it aborts the connection.

        A timer that is set for an earlier time stays: it is set again when it ends, because most waits are short.
        """
        if self._error is not None:
            raise self._error
        ends_at = self._loop.time() + timeout
        if self._deadline is not None and self._deadline < ends_at:
            ends_at = self._deadline
            self._wait = "the transaction", "reach its final dot", self._transaction_timeout
        else:
            self._wait = "the receiving server", what, timeout
        self._wait_ends_at = ends_at
        if self._timer is None or ends_at < self._timer_at:
            self._set_timer()
        self._waiter = self._loop.create_future()
        return self._waiter

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._wait_ends_at
        self._timer = self._loop.call_at(self._timer_at, self._time_out)

    def _time_out(self) -> None:
        """Abort the connection if a wait has reached its end."""
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._wait_ends_at:
            self._set_timer()
            return
        who, what, timeout = self._wait
        self._transport.abort()
        self._fail(StreamError(Reply(451, "4.4.2", f"{who} did not {what} within {timeout:g} s")))

    def _fail(self, error: StreamError) -> StreamError:
        """Close the transport. The first error, and replies received before it, are kept."""
        if self._error is None:
            self._error = error
            self.is_open = False
            # A transport with unsent octets would stay open for as long as the server does not read.
            if self._paused or self._transport.get_write_buffer_size():
                self._transport.abort()
            else:
                self._transport.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake_waiter()
        return error

    def _wake_waiter(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

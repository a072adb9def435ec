"""The bytes of one open connection: whole replies in, commands and content out, every wait bounded in time."""

import asyncio
from collections import deque
from collections.abc import Callable

from relay.delivery.reply_parser import MalformedReply, ReplyReader
from relay.mail.reply import Reply

BLOCK = 64 * 1024
"""Octets written before the other side has to have taken some."""


MAX_UNREAD = 200
"""Replies that may wait to be read: more than a transaction of the most recipients has commands."""


_CLOSED = Reply(451, "4.4.2", "the receiving server closed the connection")


_UNASKED = Reply(451, "4.5.0", "the receiving server sent what nobody asked for")


class WireError(Exception):
    """The connection is of no use any more; `reply` says why in our words, `hung_up` that the other side closed it."""

    def __init__(self, reply: Reply, *, hung_up: bool = False) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.hung_up = hung_up


class ClientStream(asyncio.Protocol):
    """Takes an open transport over. Once a method has raised WireError, the transport is closed."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._replies: deque[Reply | MalformedReply] = deque()
        self._broken: WireError | None = None
        self._paused = False
        self._idle = False
        self._waiter: asyncio.Future[None] | None = None
        self._seen: Callable[[Reply], None] | None = None
        transport.set_protocol(self)
        if transport.is_closing():
            self._break(WireError(_CLOSED, hung_up=True))

    @property
    def is_open(self) -> bool:
        """Whether nothing is known to be wrong with the connection."""
        return self._broken is None

    def rest(self) -> None:
        """Expect nothing for now: whatever arrives means that the other side is about to close."""
        self._idle = True
        if self._replies or not self._reader.is_clean:
            self._break(WireError(_UNASKED))

    def wake(self) -> None:
        """Expect replies again."""
        self._idle = False

    def write(self, data: bytes | memoryview) -> None:
        """Send a command or a group of commands."""
        if self._broken is None:
            self._transport.write(data)

    async def write_body(self, body: bytes, timeout: float) -> bool:
        """Send content block by block, each within the timeout; return False when a reply came before the end."""
        view = memoryview(body)
        for start in range(0, len(body), BLOCK):
            if self._replies:
                return False
            if self._broken is not None:
                raise self._broken
            self.write(view[start : start + BLOCK])
            while self._paused and not self._replies:
                await self._wait(timeout, "take the content")
        return True

    async def read(self, timeout: float, seen: Callable[[Reply], None] | None = None) -> Reply:
        """Return the next reply. `seen` is called with it as soon as its octets arrive, whenever the reader gets to it.

        A busy process may resume whoever waits here many milliseconds later.
        """
        self._seen = seen
        self._show()
        try:
            while not self._replies:
                await self._wait(timeout, "answer")
        finally:
            self._seen = None
        reply = self._replies.popleft()
        if isinstance(reply, MalformedReply):
            raise self._break(WireError(Reply(451, "4.5.0", f"the receiving server sent {reply.what}")))
        return reply

    def close(self) -> None:
        """Close the connection."""
        self._break(WireError(_CLOSED))

    def abort(self) -> None:
        """Drop the connection and what was not sent yet."""
        self._transport.abort()
        self.close()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._idle:
            self._break(WireError(_UNASKED))
            return
        self._replies.extend(self._reader.feed(data))
        self._show()
        if len(self._replies) > MAX_UNREAD:
            self._break(WireError(_UNASKED))
        if self._replies:
            self._notify()

    def eof_received(self) -> None:
        """See asyncio.Protocol."""
        self._break(WireError(_CLOSED, hung_up=True))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        reply = Reply(451, "4.4.2", f"connection broken: {exc}") if exc else _CLOSED
        self._break(WireError(reply, hung_up=True))

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = False
        self._notify()

    def _show(self) -> None:
        """Show the next reply to whoever wants to see it at once."""
        if self._seen is not None and self._replies:
            seen, self._seen = self._seen, None
            if isinstance(self._replies[0], Reply):
                seen(self._replies[0])

    async def _wait(self, timeout: float, what: str) -> None:
        """Wait until anything happens."""
        if self._broken is not None:
            raise self._broken
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(timeout, self._time_out, what, timeout)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _time_out(self, what: str, timeout: float) -> None:
        self._transport.abort()
        self._break(WireError(Reply(451, "4.4.2", f"the receiving server did not {what} within {timeout:g} s")))

    def _break(self, broken: WireError) -> WireError:
        """Close, keeping the first reason and the replies that came before it.

        A transport with something left to send would stay open for as long as the other side does not read.
        """
        if self._broken is None:
            self._broken = broken
            if self._paused or self._transport.get_write_buffer_size():
                self._transport.abort()
            else:
                self._transport.close()
        self._notify()
        return broken

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

"""An SMTP session after EHLO, TLS and AUTH: successive transactions (RFC 5321 section 3.3, RFC 2920)."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import assert_never

from relay.delivery.commands import Capabilities, TransactionCommands
from relay.delivery.outgoing_body import StuffedBytes, StuffedFile
from relay.delivery.stream import ClientStream, StreamError
from relay.delivery.transaction import Next, TransactionReplies, is_expected
from relay.mail.reply import Reply

LEASE_ENDED = Reply(451, "4.3.5", "the lease of this node ended before the message was sent")

_RESET = b"RSET\r\n"

_EMPTY_BODY = b".\r\n"

_QUIT_TIMEOUT = 5.0
"""Seconds that a server has for its reply to QUIT. Nothing depends on that reply."""

OnAccepted = Callable[[Sequence[int], Reply], None]
"""Called with the indexes of the accepted recipients and the 2yz to the final dot."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a server has."""

    command: float
    """For one reply, and for taking a block of the content."""
    final: float
    """For the reply to the final dot, which takes longest."""
    transaction: float
    """For everything from MAIL to the final dot, however steadily it answers."""


class Session:
    """A session with one server. Once `is_usable` is false, it must not be used again."""

    def __init__(
        self,
        stream: ClientStream,
        remote: str,
        offers: Capabilities,
        timeouts: Timeouts,
        *,
        is_encrypted: bool = False,
    ) -> None:
        self._stream = stream
        self._timeouts = timeouts
        self._open_transaction = False
        self._unusable = False
        self.remote = remote
        self.offers = offers
        self.is_encrypted = is_encrypted
        self.transactions = 0
        self.expiry: asyncio.TimerHandle | None = None
        """The timer of the pool, in which the session may have been idle until `idle_until`."""
        self.idle_until = 0.0
        self.login_ends_at = float("inf")
        """Monotonic seconds at which the access token of the login ends."""

    @property
    def is_usable(self) -> bool:
        """Whether the session can carry another transaction."""
        return not self._unusable and self._stream.is_open

    def mark_idle(self) -> None:
        """Mark the session as idle until the next transaction."""
        self._stream.expect_nothing()

    async def transact(
        self, commands: TransactionCommands, on_accepted: OnAccepted, is_held: Callable[[], bool] = lambda: True
    ) -> TransactionReplies:
        """Make one transaction and return its replies. The content is sent only after 354, and while `is_held` says so.

        `on_accepted` is called when the octets of the final 2yz arrive, before this coroutine resumes. A crash in
        between must find the delivery recorded.
        """
        self._stream.begin_transaction(self._timeouts.transaction)
        self.transactions += 1
        replies = TransactionReplies()
        try:
            if self.offers.pipelining:
                await self._pipelined(commands, replies)
            else:
                await self._step_by_step(commands, replies)
            await self._content(commands.body, replies, on_accepted, is_held)
        except StreamError as broken:
            replies.failure, replies.closed_by_server = broken.reply, broken.closed_by_server
            replies.tls_failed = broken.tls_failed
        self._stream.end_transaction()
        if replies.is_delivered_to_all:
            self._open_transaction = False
            return replies

        self._open_transaction = replies.needs_reset
        if self._unusable or not replies.reusable:
            self._unusable = True
            self._stream.close()
        return replies

    async def quit(self) -> None:
        """Send QUIT and close."""
        self._unusable = True
        self._stream.expect_replies()
        self._stream.write(b"QUIT\r\n")
        try:
            await self._stream.read(_QUIT_TIMEOUT)
        except StreamError:
            pass
        self._stream.close()

    def abort(self) -> None:
        """Drop the connection."""
        self._unusable = True
        self._stream.abort()

    async def _pipelined(self, commands: TransactionCommands, replies: TransactionReplies) -> None:
        """Send the envelope at once. The replies mostly arrive together: only those that have not are waited for."""
        stream, timeout = self._stream, self._timeouts.command
        reset = _RESET if self._open_transaction else b""
        stream.write(b"".join((reset, commands.mail, *commands.recipients, b"DATA\r\n")))
        if reset:
            await self._after_reset()
        replies.mail = reply = _expected(await stream.read(timeout))
        while reply.code != 421 and len(replies.recipients) < len(commands.recipients):
            reply = _expected(stream.received() or await stream.read(timeout))
            replies.recipients.append(reply)
        if reply.code != 421:
            replies.data = _expected(stream.received() or await stream.read(timeout), to_data=True)

    async def _step_by_step(self, commands: TransactionCommands, replies: TransactionReplies) -> None:
        if self._open_transaction:
            self._stream.write(_RESET)
            await self._after_reset()
        self._stream.write(commands.mail)
        replies.mail = await self._read_reply()
        if not replies.mail.is_positive:
            return

        for line in commands.recipients:
            self._stream.write(line)
            reply = await self._read_reply()
            replies.recipients.append(reply)
            if reply.code == 421:
                return
        if replies.accepted:
            self._stream.write(b"DATA\r\n")
            replies.data = await self._read_reply(to_data=True)

    async def _content(
        self,
        body: StuffedBytes | StuffedFile,
        replies: TransactionReplies,
        on_accepted: OnAccepted,
        is_held: Callable[[], bool],
    ) -> None:
        def on_reply(dot: Reply) -> None:
            if dot.is_positive:
                on_accepted(replies.accepted_recipients(), dot)

        match replies.after_data():
            case Next.BODY:
                if isinstance(body, StuffedBytes):
                    _check_lease(is_held)
                    replies.dot_sent = await self._stream.write_body(body.octets, self._timeouts.command, body.end)
                else:
                    replies.dot_sent = await self._write_file(body, is_held)
                if replies.dot_sent:
                    self._stream.end_transaction()
                    replies.dot = await self._read_final_reply(on_reply)
                else:
                    replies.dot = await self._refusal_before_end()
            case Next.EMPTY_BODY:
                self._stream.write(_EMPTY_BODY)
                replies.dot = await self._read_final_reply()
            case Next.CLOSE:
                raise _protocol_error("accepted a recipient but not the reverse-path")
            case Next.NOTHING:
                pass
            case never:
                assert_never(never)

    async def _refusal_before_end(self) -> Reply:
        """Return the reply that came before the end of the content. The connection is unusable after it."""
        self._unusable = True
        reply = await self._read_reply()
        if reply.is_positive:
            raise _protocol_error("accepted the message before its end")
        return reply

    async def _write_file(self, body: StuffedFile, is_held: Callable[[], bool]) -> bool:
        """Send all pieces. Return False for a reply before the end."""
        async with aclosing(body.pieces()) as pieces:
            async for piece in pieces:
                _check_lease(is_held)
                if not await self._stream.write_body(piece, self._timeouts.command):
                    return False
        return True

    async def _after_reset(self) -> None:
        reply = await self._read_reply()
        if not reply.is_positive:
            raise StreamError(reply, closed_by_server=True)

    async def _read_reply(self, *, to_data: bool = False) -> Reply:
        return _expected(await self._stream.read(self._timeouts.command), to_data=to_data)

    async def _read_final_reply(self, on_reply: Callable[[Reply], None] | None = None) -> Reply:
        reply = await self._stream.read(self._timeouts.final, on_reply)
        if not is_expected(reply):
            raise _protocol_error(f'sent "{reply}" after the final dot')
        return reply


def _check_lease(is_held: Callable[[], bool]) -> None:
    """Raise StreamError if another node may have the message: without its end this server discards the content."""
    if not is_held():
        raise StreamError(LEASE_ENDED)


def _expected(reply: Reply, *, to_data: bool = False) -> Reply:
    """Return a reply that is allowed here. Raise StreamError for any other."""
    if not is_expected(reply, to_data=to_data):
        raise _protocol_error(f'sent the unexpected reply "{reply}"')
    return reply


def _protocol_error(what: str) -> StreamError:
    return StreamError(Reply(451, "4.5.0", f"the receiving server {what}"))

"""An SMTP session after EHLO, TLS and AUTH: successive transactions (RFC 5321 section 3.3, RFC 2920)."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from relay.delivery.commands import Capabilities, TransactionCommands
from relay.delivery.stream import ClientStream, WireError
from relay.delivery.transaction import Next, TransactionReplies, is_expected
from relay.mail.reply import Reply

_LONE_DOT = b".\r\n"


_QUIT_TIMEOUT = 5.0
"""Seconds that a server has for its reply to QUIT. Nothing depends on that reply."""


OnAccepted = Callable[[Sequence[int], Reply], None]
"""Called with the indexes of the accepted recipients and the 2yz to the final dot."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds: for one reply, and for the reply to the final dot, which takes servers longest."""

    command: float
    final: float


class Session:
    """A session with one server. Once `is_usable` is false, it must not be used again."""

    def __init__(self, wire: ClientStream, remote: str, offers: Capabilities, patience: Timeouts) -> None:
        self._wire = wire
        self._patience = patience
        self._open_transaction = False
        self._spent = False
        self.remote = remote
        self.offers = offers
        self.transactions = 0
        self.expiry: asyncio.TimerHandle | None = None
        """Set while the session is idle in the pool."""

    @property
    def is_usable(self) -> bool:
        """Whether the session can carry another transaction."""
        return not self._spent and self._wire.is_open

    def rest(self) -> None:
        """Mark the session as idle until the next transaction."""
        self._wire.rest()

    async def transact(self, script: TransactionCommands, on_accepted: OnAccepted) -> TransactionReplies:
        """Make one transaction and return its replies. The content is sent only after 354.

        `on_accepted` is called when the octets of the final 2yz arrive, before this coroutine resumes. A crash in
        between must find the delivery recorded.
        """
        self._wire.wake()
        self.transactions += 1
        replies = TransactionReplies()
        try:
            await self._envelope(script, replies)
            await self._content(script.body, replies, on_accepted)
        except WireError as broken:
            replies.failure, replies.hung_up = broken.reply, broken.hung_up
        self._open_transaction = replies.needs_reset
        if self._spent or not replies.reusable:
            self._spent = True
            self._wire.close()
        return replies

    async def quit(self) -> None:
        """Send QUIT and close."""
        self._spent = True
        self._wire.wake()
        self._wire.write(b"QUIT\r\n")
        try:
            await self._wire.read(_QUIT_TIMEOUT)
        except WireError:
            pass
        self._wire.close()

    def abort(self) -> None:
        """Drop the connection."""
        self._spent = True
        self._wire.abort()

    async def _envelope(self, script: TransactionCommands, replies: TransactionReplies) -> None:
        reset = (b"RSET\r\n",) if self._open_transaction else ()
        if self.offers.pipelining:
            self._wire.write(b"".join((*reset, script.mail, *script.recipients, b"DATA\r\n")))
            await self._pipelined(len(script.recipients), replies, reset=bool(reset))
        else:
            if reset:
                self._wire.write(*reset)
                await self._after_reset()
            await self._step_by_step(script, replies)

    async def _pipelined(self, recipients: int, replies: TransactionReplies, *, reset: bool) -> None:
        if reset:
            await self._after_reset()
        replies.mail = reply = await self._answer()
        while reply.code != 421 and len(replies.recipients) < recipients:
            reply = await self._answer()
            replies.recipients.append(reply)
        if reply.code != 421:
            replies.data = await self._answer(to_data=True)

    async def _step_by_step(self, script: TransactionCommands, replies: TransactionReplies) -> None:
        self._wire.write(script.mail)
        replies.mail = await self._answer()
        if not replies.mail.is_positive:
            return
        for line in script.recipients:
            self._wire.write(line)
            reply = await self._answer()
            replies.recipients.append(reply)
            if reply.code == 421:
                return
        if replies.accepted:
            self._wire.write(b"DATA\r\n")
            replies.data = await self._answer(to_data=True)

    async def _content(self, body: bytes, replies: TransactionReplies, on_accepted: OnAccepted) -> None:
        def seen(dot: Reply) -> None:
            if dot.is_positive:
                on_accepted(replies.accepted_recipients(), dot)

        match replies.after_data():
            case Next.BODY:
                replies.dot_sent = await self._send_body(body, replies)
                if replies.dot_sent:
                    replies.dot = await self._final_answer(seen)
            case Next.LONE_DOT:
                self._wire.write(_LONE_DOT)
                replies.dot = await self._final_answer()
            case Next.HANG_UP:
                raise _nonsense("accepted a recipient but not the reverse-path")
            case Next.NOTHING:
                pass
            case never:
                assert_never(never)

    async def _send_body(self, body: bytes, replies: TransactionReplies) -> bool:
        """Send the content. Return False when it was refused before its end, which makes the connection useless."""
        if await self._wire.write_body(body, self._patience.command):
            return True
        self._spent = True
        reply = await self._answer()
        if reply.is_positive:
            raise _nonsense("took the message before its end")
        replies.dot = reply
        return False

    async def _after_reset(self) -> None:
        reply = await self._answer()
        if not reply.is_positive:
            raise WireError(reply, hung_up=True)

    async def _answer(self, *, to_data: bool = False) -> Reply:
        reply = await self._wire.read(self._patience.command)
        if not is_expected(reply, to_data=to_data):
            raise _nonsense(f'sent "{reply}" where it makes no sense')
        return reply

    async def _final_answer(self, seen: Callable[[Reply], None] | None = None) -> Reply:
        reply = await self._wire.read(self._patience.final, seen)
        if not is_expected(reply):
            raise _nonsense(f'sent "{reply}" after the final dot')
        return reply


def _nonsense(what: str) -> WireError:
    return WireError(Reply(451, "4.5.0", f"the receiving server {what}"))

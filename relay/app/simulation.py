"""The receiver inside the relay, with the parts that its reactions use: inbound mail, and the tracker."""

import asyncio
import socket
from typing import Protocol

from relay.app.context import AppContext
from relay.delivery.connect import ConnectFailure, ConnectOptions, greet
from relay.delivery.mx import Endpoint
from relay.delivery.session import Session
from relay.mail.reply import Reply
from relay.mail.transaction import Transaction
from relay.simulator.reactions import Reactions
from relay.simulator.receiver import Receiver
from relay.simulator.resources import Accepted, FirstAttempts, Resources
from relay.smtp.context import MessageHandler

ANSWER_TIMEOUT = 30.0
"""Seconds that the tracker has for an answer."""

_CLIENT = "127.0.0.1"
"""Client of the requests of reactions."""


class ListeningTracker(Protocol):
    """The tracker, whose modules of HTTP are loaded after those of mail."""

    @property
    def port(self) -> int:
        """The TCP port."""

    def protocol(self, client: str) -> asyncio.BaseProtocol:
        """Return the server's side of a new connection from a client."""


class Simulation:
    """The receiver and its reactions. `inbound` and `tracker` are set when they are open, after mail is accepted."""

    def __init__(self, context: AppContext) -> None:
        self.inbound: MessageHandler | None = None
        self.tracker: ListeningTracker | None = None
        self.opened = asyncio.Event()
        """Set when both are open, or the tracker is known to have no address. Reactions wait for it."""
        self._resources = Resources(
            words=lambda: context.settings().simulator.words,
            speed=lambda: context.settings().simulator.speed,
            clock=context.clock,
            accepted=self._begin,
            first_attempts=FirstAttempts(),
        )
        self._receiver = Receiver(self._resources)
        self._reactions = Reactions(
            lambda: self._resources.name, self._resources.span, context.clock, self._take, self._ask, context.log
        )

    async def connect(self, endpoint: Endpoint, options: ConnectOptions) -> Session | ConnectFailure:
        """Open a session with the receiver. The name of the endpoint begins with the word of the lane."""
        end = await self._receiver.open(endpoint.name.partition(".")[0])
        return await greet(endpoint, options, end)

    def _begin(self, accepted: Accepted) -> None:
        self._reactions.begin(accepted)

    async def close(self) -> None:
        """End reactions and sessions."""
        await self._reactions.close()
        await self._receiver.close()

    async def _take(self, transaction: Transaction) -> Reply:
        """Take a mail as an inbound listener does."""
        await self.opened.wait()
        assert self.inbound is not None
        session, envelope = transaction.session, transaction.envelope
        for recipient in envelope.recipients:
            refusal = self.inbound.check_recipient(session, envelope, recipient)
            if refusal is not None:
                return refusal
        return await self.inbound.accept_message(transaction)

    async def _ask(self, request: bytes) -> int:
        """Send a request to the tracker over a socket pair, and return the status of its answer."""
        await self.opened.wait()
        if self.tracker is None:
            raise ConnectionError("there is no tracker: tracker.address is empty")
        ours, theirs = socket.socketpair()
        for one in (ours, theirs):
            one.setblocking(False)
        loop = asyncio.get_running_loop()
        protocol = self.tracker.protocol(_CLIENT)
        await loop.connect_accepted_socket(lambda: protocol, theirs)
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            writer.write(request)
            async with asyncio.timeout(ANSWER_TIMEOUT):
                words = (await reader.readline()).split()
        finally:
            writer.close()
        if len(words) < 2 or not words[1].isdigit():
            raise ConnectionError("the tracker closed the connection")
        return int(words[1])

"""State that connections share: the handler of a listener, and the limits of all listeners."""

import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from relay.config.settings import Listener, Settings, Smtp
from relay.events.ports import StoreError
from relay.log import Emit
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction, network_of
from relay.smtp.body import BodyLimits, BodyPool
from relay.smtp.throttle import AuthThrottle

TOO_MANY = Reply(421, "4.3.2", "Too many connections here, try again later")


TOO_MANY_FROM_YOU = Reply(421, "4.7.0", "Too many connections from your address, try again later")


class MessageHandler(Protocol):
    """Accepts or refuses the mail of one listener: submission or inbound."""

    def check_mail(self, session: Session, envelope: Envelope) -> Reply | None:
        """Return the refusal of MAIL, None to accept it. The envelope has no recipients yet."""
        ...

    def check_recipient(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Return the refusal of RCPT, None to accept it. The envelope has the recipients accepted before."""
        ...

    async def accept_message(self, transaction: Transaction) -> Reply:
        """Return the reply to the final dot; when it is positive the message is durable.

        It always runs to its end, even when the client disconnects. Raises StoreError when the store fails.
        """
        ...


class ServerResources:
    """Shared by all listeners: connection counts by client, the body pool and the AUTH throttle."""

    def __init__(self, data_dir: Path, limits: BodyLimits | None = None) -> None:
        self.bodies = BodyPool(data_dir, limits)
        self.throttle = AuthThrottle()
        self.connections = 0
        self._by_client: Counter[str] = Counter()

    def enter(self, client: str, smtp: Smtp) -> Reply | None:
        """Count a new connection, or return its refusal. `leave` is for counted connections only."""
        network = network_of(client)
        if self._by_client[network] >= smtp.max_connections_per_client:
            return TOO_MANY_FROM_YOU

        if self.connections >= smtp.max_connections:
            return TOO_MANY

        self.connections += 1
        self._by_client[network] += 1
        return None

    def leave(self, client: str) -> None:
        """Uncount a connection."""
        network = network_of(client)
        self.connections -= 1
        self._by_client[network] -= 1
        if not self._by_client[network]:
            del self._by_client[network]


@dataclass(slots=True, kw_only=True)
class ListenerContext:
    """Shared by the connections of a listener. `settings` is called per command, so that a reload applies at once."""

    listener: Listener
    settings: Callable[[], Settings]
    handler: MessageHandler
    on_store_error: Callable[[StoreError], None]
    """Called when a message could not be stored."""
    log: Emit
    ssl_context: ssl.SSLContext | None
    resources: ServerResources
    clock: Callable[[], float]
    """Monotonic seconds."""
    pause: Callable[[float], Awaitable[None]]
    stopping: bool = False

"""State that connections share: the handler of a listener, and the limits of all listeners."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from relay.clock import system_clock
from relay.config.settings import Listener, Settings
from relay.events.ports import StoreError
from relay.log import Emit
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, ListenerKind, Recipient, Session, Transaction
from relay.smtp.body import BodyLimits, BodyPool
from relay.smtp.connection_table import ConnectionTable
from relay.smtp.throttle import AuthThrottle
from relay.submission.credential_keys import CredentialKeys


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
    """Shared by all listeners: the connection table, the body pools, the AUTH throttle and the keys of credentials.

    Inbound mail has a pool of its own, half as large: mail of strangers uses up no space of submission.
    """

    def __init__(
        self,
        data_dir: Path,
        limits: BodyLimits | None = None,
        most_connections: int | None = None,
        keys: CredentialKeys | None = None,
    ) -> None:
        self.bodies = BodyPool(data_dir, limits)
        self.inbound_bodies = BodyPool(data_dir, self.bodies.limits.half())
        self.throttle = AuthThrottle()
        self.keys = keys or CredentialKeys(None, system_clock)
        self.connections = ConnectionTable(most_connections)

    def body_pool(self, kind: ListenerKind) -> BodyPool:
        """Return the pool of a kind of listener."""
        return self.inbound_bodies if kind == "inbound" else self.bodies


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
    stressed: bool = False
    """Nearly all connections are in use: strangers have shorter time-outs and few junk commands."""

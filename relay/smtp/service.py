"""What the connections of one listener have in common."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relay.config.settings import Listener, Settings
from relay.log import Emit
from relay.smtp.ports import Acceptor
from relay.smtp.resources import Resources


@dataclass(slots=True)
class Service:
    """The surroundings of a connection. `settings` is asked anew each time, so that a reload holds at once."""

    listener: Listener
    settings: Callable[[], Settings]
    acceptor: Acceptor
    log: Emit
    ssl_context: ssl.SSLContext | None
    resources: Resources
    clock: Callable[[], float]
    """Monotonic seconds."""
    pause: Callable[[float], Awaitable[None]]
    stopping: bool = False

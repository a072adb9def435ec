"""The values from which all parts of a running relay are built."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from relay.app.alert_mailer import AlertQueue
from relay.app.observer import Observer
from relay.clock import Clock
from relay.config import Settings
from relay.log import Emit
from relay.queue.bounce_policy import BouncePolicy
from relay.resolver import Resolver
from relay.storage.store import Store


@dataclass(frozen=True, slots=True)
class AppContext:
    """Settings and rules in effect, store, observer, log, clock and queue ids."""

    settings: Callable[[], Settings]
    bounce_policy: Callable[[], BouncePolicy]
    store: Store
    observer: Observer
    alerts: AlertQueue
    log: Emit
    clock: Clock
    new_id: Callable[[float], str]
    wake: asyncio.Event
    """Set to make the queue runner claim due entries."""
    stack: AsyncExitStack
    """Closes opened parts in reverse order."""

    def alert(self, cause: str, subject: str, text: str) -> None:
        """Send an alert to the operator."""
        self.alerts.alert(cause, subject, text)

    def new_resolver(self) -> Resolver:
        """Return a resolver with an empty cache."""
        return Resolver(self.settings().resolver.endpoints)

"""What every part of a running relay is built with."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from relay.app.alerts import Alert
from relay.app.observer import Observer
from relay.clock import Clock
from relay.config import Settings
from relay.log import Emit
from relay.queue.bounce_policy import BouncePolicy
from relay.resolver import Resolver
from relay.storage.store import Store


@dataclass(frozen=True, slots=True)
class AppContext:
    """The settings and rules in force, the store, the clock, the ids, and who hears of what happens."""

    settings: Callable[[], Settings]
    bounce_policy: Callable[[], BouncePolicy]
    store: Store
    observer: Observer
    log: Emit
    clock: Clock
    new_id: Callable[[float], str]
    stack: AsyncExitStack
    """Closes what was opened, last first."""

    def alert(self, cause: str, subject: str, text: str) -> None:
        """Tell the operator by mail."""
        self.observer.send_alert(Alert(cause, subject, text))

    def new_resolver(self) -> Resolver:
        """Return a resolver that remembers nothing yet."""
        return Resolver(self.settings().resolver.endpoints)

"""What all listeners of the process share: who is connected, who failed to authenticate, how much is being received."""

from collections import Counter
from pathlib import Path

from relay.config.settings import Smtp
from relay.mail.reply import Reply
from relay.smtp.body import BodyPool, Bounds
from relay.smtp.throttle import AuthThrottle, network_of

TOO_MANY = Reply(421, "4.3.2", "Too many connections here, try again later")
TOO_MANY_FROM_YOU = Reply(421, "4.7.0", "Too many connections from your address, try again later")


class Resources:
    """Counts connections by client, and holds the pool of bodies and the back-off of failed logins."""

    def __init__(self, data_dir: Path, bounds: Bounds | None = None) -> None:
        self.bodies = BodyPool(data_dir, bounds)
        self.throttle = AuthThrottle()
        self.connections = 0
        self._by_client: Counter[str] = Counter()

    def enter(self, client: str, smtp: Smtp) -> Reply | None:
        """Count a new connection in, or tell why it must go; only who was counted in may `leave`."""
        network = network_of(client)
        if self._by_client[network] >= smtp.max_connections_per_client:
            return TOO_MANY_FROM_YOU
        if self.connections >= smtp.max_connections:
            return TOO_MANY
        self.connections += 1
        self._by_client[network] += 1
        return None

    def leave(self, client: str) -> None:
        """Count a connection out."""
        network = network_of(client)
        self.connections -= 1
        self._by_client[network] -= 1
        if not self._by_client[network]:
            del self._by_client[network]

"""What connections of a listener share; `MessageHandler` protocol; AUTH throttle."""

import ssl
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from relay.config.settings import Listener, Settings, Smtp
from relay.log import Emit
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction, network_of
from relay.smtp.body import BodyPool, Bounds


class Acceptor(Protocol):
    """Decides who may do what, and takes messages over."""

    async def authenticate(self, session: Session, username: str, secret: str) -> str | None:
        """Return the name of the credential, None when name or secret is wrong; as slow for one as for the other."""
        ...

    def may_send(self, session: Session, envelope: Envelope) -> Reply | None:
        """Answer MAIL: None to go on, else the refusal. The envelope has no recipients yet."""
        ...

    def may_receive(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Answer RCPT: None to go on, else the refusal. The envelope has the recipients taken before."""
        ...

    async def accept(self, transaction: Transaction) -> Reply:
        """Answer the final dot. When the reply is positive the message is durable.

        Once begun it runs to its end, whatever becomes of the client.
        """
        ...


FIRST_DELAY = 0.25


GROWTH = 1.6


LONGEST_DELAY = 30.0
"""Seconds, times GROWTH with each failure at a name, and the most they become."""


FREE_FAILURES = 20


DISTANCE = 1.0
"""Failures of a client at whatever names, and the seconds between its attempts when they are used up."""


MEMORY = 900.0
"""Seconds without an attempt after which a client is forgotten."""


MAX_ENTRIES = 10_000


@dataclass(slots=True)
class _Entry:
    failures: int = 0
    trusted: bool = False
    """The name logged in from here."""
    next_at: float = 0.0
    """When the next attempt may be looked at."""
    last_at: float = 0.0


_Key = tuple[str, str]


class AuthThrottle:
    """When a client's next attempt may be looked at. At most MAX_ENTRIES are remembered, the latest ones."""

    def __init__(self) -> None:
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def reserve(self, client: str, username: str, now: float, longest: float) -> float | None:
        """Return the seconds an attempt must wait, and keep that moment for it; None when longer than `longest`.

        Attempts made at once on many connections get moments one after another.
        """
        name_key, client_key = _keys(client, username)
        name, anything = self._known(name_key, now), self._known(client_key, now)
        if name is not None and name.trusted:
            anything = None
        start = max(now, name.next_at if name else now, anything.next_at if anything else now)
        if start - now > longest:
            return None
        if name is not None:
            name.next_at = start + _name_delay(name.failures)
        if anything is not None:
            anything.next_at = start + _client_delay(anything.failures)
        return start - now

    def failed(self, client: str, username: str, now: float) -> None:
        """Remember that an attempt failed."""
        for key, delay in zip(_keys(client, username), (_name_delay, _client_delay), strict=True):
            entry = self._remember(key, self._known(key, now) or _Entry(), now)
            entry.failures += 1
            entry.next_at = max(entry.next_at, now + delay(entry.failures))

    def succeeded(self, client: str, username: str, now: float) -> None:
        """Forget the failures at this name, and trust it from here: its owner is there."""
        self._remember(_keys(client, username)[0], _Entry(trusted=True), now)

    def _remember(self, key: _Key, entry: _Entry, now: float) -> _Entry:
        entry.last_at = now
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)
        return entry

    def _known(self, key: _Key, now: float) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and now - entry.last_at > MEMORY:
            del self._entries[key]
            return None
        return entry


def _keys(client: str, username: str) -> tuple[_Key, _Key]:
    network = network_of(client)
    return (network, f"name {username.lower()}"), (network, "")


def _name_delay(failures: int) -> float:
    return min(LONGEST_DELAY, FIRST_DELAY * GROWTH ** min(failures, 40)) if failures else 0.0


def _client_delay(failures: int) -> float:
    return DISTANCE if failures > FREE_FAILURES else 0.0


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

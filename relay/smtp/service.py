"""What connections of a listener share; `MessageHandler` protocol; AUTH throttle."""

import ssl
from collections import Counter, OrderedDict
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


class MessageHandler(Protocol):
    """Decides about the mail of one listener: a submission handler, or the handler of returned mail."""

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


FIRST_DELAY = 0.25


GROWTH = 1.6


LONGEST_DELAY = 30.0
"""Seconds between attempts at one name: FIRST_DELAY, times GROWTH with each failure, at most LONGEST_DELAY."""


FREE_FAILURES = 20


DISTANCE = 1.0
"""Seconds between attempts of a client that failed more than FREE_FAILURES times, at any names."""


MEMORY = 900.0
"""Seconds without an attempt after which a client is forgotten."""


MAX_ENTRIES = 10_000


@dataclass(slots=True)
class _Entry:
    failures: int = 0
    trusted: bool = False
    """The name authenticated from this network."""
    next_at: float = 0.0
    """Earliest time of the next attempt."""
    last_at: float = 0.0


_Key = tuple[str, str]


class AuthThrottle:
    """Delays the login attempts of clients that failed. Keeps the latest MAX_ENTRIES entries."""

    def __init__(self) -> None:
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def reserve(self, client: str, username: str, now: float, longest: float) -> float | None:
        """Reserve the time of an attempt and return the seconds until then; None when more than `longest`.

        Simultaneous attempts on several connections are spaced out.
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
        """Record a failed attempt."""
        for key, delay in zip(_keys(client, username), (_name_delay, _client_delay), strict=True):
            entry = self._remember(key, self._known(key, now) or _Entry(), now)
            entry.failures += 1
            entry.next_at = max(entry.next_at, now + delay(entry.failures))

    def succeeded(self, client: str, username: str, now: float) -> None:
        """Clear the failures at this name, and exempt it from the delay of its network."""
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


class ServerResources:
    """What all listeners share: connection counts by client, the body pool and the AUTH throttle."""

    def __init__(self, data_dir: Path, bounds: BodyLimits | None = None) -> None:
        self.bodies = BodyPool(data_dir, bounds)
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
    """What the connections of a listener share. `settings` is called for every command: a reload applies at once."""

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

"""State shared by connections: `MessageHandler` of a listener, AUTH throttle, limits of all listeners."""

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

FIRST_DELAY = 0.25


GROWTH = 1.6


LONGEST_DELAY = 30.0
"""Seconds between attempts for one name: FIRST_DELAY, times GROWTH per failure, at most LONGEST_DELAY."""


FREE_FAILURES = 20


DISTANCE = 1.0
"""Seconds between attempts for any name by a client with more than FREE_FAILURES failures."""


MEMORY = 900.0
"""Seconds without an attempt after which an entry is removed."""


MAX_ENTRIES = 10_000
"""Maximum number of clients and names in the throttle."""


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
        name, any_name = self._find(name_key, now), self._find(client_key, now)
        if name is not None and name.trusted:
            any_name = None

        start = max(now, name.next_at if name else now, any_name.next_at if any_name else now)
        if start - now > longest:
            return None

        if name is not None:
            name.next_at = start + _name_delay(name.failures)
        if any_name is not None:
            any_name.next_at = start + _client_delay(any_name.failures)
        return start - now

    def failed(self, client: str, username: str, now: float) -> None:
        """Record a failed attempt."""
        for key, delay in zip(_keys(client, username), (_name_delay, _client_delay), strict=True):
            entry = self._store(key, self._find(key, now) or _Entry(), now)
            entry.failures += 1
            entry.next_at = max(entry.next_at, now + delay(entry.failures))

    def succeeded(self, client: str, username: str, now: float) -> None:
        """Clear the failures at this name, and exempt it from the delay of its network."""
        self._store(_keys(client, username)[0], _Entry(trusted=True), now)

    def _store(self, key: _Key, entry: _Entry, now: float) -> _Entry:
        entry.last_at = now
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)
        return entry

    def _find(self, key: _Key, now: float) -> _Entry | None:
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

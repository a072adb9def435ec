"""Throttles AUTH: a growing delay after each failure, by user name and by client."""

from collections import OrderedDict
from dataclasses import dataclass

from relay.mail.transaction import network_of

FIRST_DELAY = 0.25

GROWTH = 1.6

MAX_DELAY = 30.0
"""Seconds between attempts for one name: FIRST_DELAY, times GROWTH per failure, at most MAX_DELAY."""

FREE_FAILURES = 20

DISTANCE = 1.0
"""Seconds between attempts for any name by a client with more than FREE_FAILURES failures."""

MEMORY = 900.0
"""Seconds without an attempt after which an entry is removed."""

MAX_ENTRIES = 10_000
"""Maximum number of clients and names in the throttle."""


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
    return min(MAX_DELAY, FIRST_DELAY * GROWTH ** min(failures, 40)) if failures else 0.0


def _client_delay(failures: int) -> float:
    return DISTANCE if failures > FREE_FAILURES else 0.0

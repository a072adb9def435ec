"""Back-off of clients whose AUTH failed: pure bookkeeping, the time comes in with every question.

A failure is remembered under the client and the name it tried, so that whoever guesses at one name from one place is
slowed at once, and, more patiently, under the client alone, so that trying many names is no way round it. The delay
grows over connections; another address is never affected.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import ip_address

FIRST_DELAY = 0.25
GROWTH = 1.6
LONGEST_DELAY = 30.0
"""Seconds after the first failure that counts, the factor from one to the next, and the most."""
FREE_FAILURES = 20
"""Failures of one client over all names before they count."""
MEMORY = 900.0
"""Seconds without a failure after which a client is forgotten."""
MAX_ENTRIES = 10_000


@dataclass(slots=True)
class _Entry:
    failures: int = 0
    next_at: float = 0.0
    """When the next attempt may be looked at."""
    last_at: float = 0.0


class AuthThrottle:
    """When a client's next attempt may be looked at. At most MAX_ENTRIES are remembered, the latest ones."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def reserve(self, client: str, username: str, now: float, longest: float) -> float | None:
        """Return the seconds an attempt must wait, and keep that moment for it; None when longer than `longest`.

        Attempts made at once on many connections get moments one after another.
        """
        found = [(key, entry) for key in _keys(client, username) if (entry := self._known(key, now)) is not None]
        start = max([now, *(entry.next_at for _, entry in found)])
        if start - now > longest:
            return None
        for key, entry in found:
            entry.next_at = start + _delay(entry.failures, free=0 if key[1] else FREE_FAILURES)
        return start - now

    def failed(self, client: str, username: str, now: float) -> None:
        """Remember that an attempt failed."""
        for key in _keys(client, username):
            entry = self._known(key, now) or self._entries.setdefault(key, _Entry())
            entry.failures += 1
            entry.last_at = now
            entry.next_at = max(entry.next_at, now + _delay(entry.failures, free=0 if key[1] else FREE_FAILURES))
            self._entries.move_to_end(key)
        while len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def succeeded(self, client: str, username: str) -> None:
        """Forget the failures at this name: its owner is here."""
        self._entries.pop(_keys(client, username)[0], None)

    def _known(self, key: tuple[str, str], now: float) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and now - entry.last_at > MEMORY:
            del self._entries[key]
            return None
        return entry


def network_of(client: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 a single IPv6 host can choose addresses from."""
    address = ip_address(client)
    return client if address.version == 4 else address.exploded[:19]


def _keys(client: str, username: str) -> tuple[tuple[str, str], tuple[str, str]]:
    network = network_of(client)
    return (network, f"name {username.lower()}"), (network, "")


def _delay(failures: int, free: int) -> float:
    counted = failures - free
    return 0.0 if counted <= 0 else min(LONGEST_DELAY, FIRST_DELAY * GROWTH ** min(counted, 40))

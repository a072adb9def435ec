"""Back-off of clients whose AUTH failed: pure bookkeeping, the time comes in with every question.

A failure is remembered under the client and the name it tried: whoever guesses at one name from one place is slowed
more and more, over all its connections. After many failures at whatever names all attempts of that client keep a
distance, so that trying many names is no way round it; names that logged in from there before are excepted, so that
one mistaken or hostile program does not lock its neighbours out. Another address is never affected.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import ip_address

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


def network_of(client: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 a single IPv6 host can choose addresses from."""
    address = ip_address(client)
    return client if address.version == 4 else address.exploded[:19]


def _keys(client: str, username: str) -> tuple[_Key, _Key]:
    network = network_of(client)
    return (network, f"name {username.lower()}"), (network, "")


def _name_delay(failures: int) -> float:
    return min(LONGEST_DELAY, FIRST_DELAY * GROWTH ** min(failures, 40)) if failures else 0.0


def _client_delay(failures: int) -> float:
    return DISTANCE if failures > FREE_FAILURES else 0.0

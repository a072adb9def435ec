"""The connections of all listeners: a guaranteed part for each, and the connection that is closed for a new one.

A listener may use its guaranteed part at any time, and beside it what is left of the common part. When both are used
up, a client without permission to send is closed for the new one: the one that has waited longest. So idle connections
of strangers exclude no other client.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from relay.config.settings import Listener, Smtp
from relay.mail.reply import Reply

TOO_MANY = Reply(421, "4.3.2", "Too many connections here, try again later")

TOO_MANY_FROM_YOU = Reply(421, "4.7.0", "Too many connections from your address, try again later")

STRESS_BEGINS, STRESS_ENDS = 0.25, 0.5
"""Free part of the connections that a listener can have, below which stress begins and above which it ends."""


class Waiting(Protocol):
    """A connection in the table."""

    waits_since: float
    """Monotonic seconds of the last command, or of the last KiB of content; infinite while the client waits for us."""

    @property
    def is_stranger(self) -> bool:
        """Whether the client may not send without a further proof: all clients of inbound listeners are strangers."""

    def displace(self, reply: Reply) -> None:
        """Close the connection with this reply, because another one takes its place."""


def guaranteed_parts(listeners: Sequence[Listener], most: int) -> dict[str, int]:
    """Return the guaranteed connections of each listener, by name.

    `reserved_connections` comes first. Listeners without it share half of the rest of `most` equally.
    """
    reserved = {listener.name: listener.reserved_connections for listener in listeners}
    rest = max(most - sum(reserved.values()), 0)
    equal = rest // 2 // max(sum(not number for number in reserved.values()), 1)
    return {name: number or equal for name, number in reserved.items()}


class ConnectionTable:
    """Counts connections by listener and by client of a listener."""

    def __init__(self, most: int | None = None) -> None:
        """`most` is the number of connections that the process can open, None for no such limit."""
        self._most = most
        self._listeners: dict[str, Listener] = {}
        self._all: dict[str, dict[Waiting, str]] = {}
        """By listener, the connections with the network of their client."""
        self._by_client: dict[tuple[str, str], int] = {}
        self._parts = lru_cache(maxsize=4)(lambda limit: guaranteed_parts(tuple(self._listeners.values()), limit))
        """The guaranteed parts for this number of connections in all."""

    def __len__(self) -> int:
        return sum(map(len, self._all.values()))

    def add_listener(self, listener: Listener) -> None:
        """Give a listener its part."""
        self._listeners[listener.name] = listener
        self._all.setdefault(listener.name, {})
        self._parts.cache_clear()

    def count(self, listener: str) -> int:
        """Return the number of connections of a listener."""
        return len(self._all[listener])

    def enter(self, connection: Waiting, listener: str, network: str, smtp: Smtp) -> Reply | None:
        """Add a connection, or return its refusal. Another one may be closed for it."""
        if self._by_client.get((listener, network), 0) >= smtp.max_connections_per_client:
            return TOO_MANY_FROM_YOU

        if self._own_free(listener, smtp) == 0 and self._free(listener, smtp)[0] <= 0:
            displaced = self._longest_waiting(listener, smtp)
            if displaced is None:
                return TOO_MANY
            self.leave(displaced)
            displaced.displace(TOO_MANY)

        self._all[listener][connection] = network
        self._by_client[listener, network] = self._by_client.get((listener, network), 0) + 1
        return None

    def leave(self, connection: Waiting) -> None:
        """Remove a connection, if it is in the table."""
        for listener, connections in self._all.items():
            network = connections.pop(connection, None)
            if network is not None:
                self._by_client[listener, network] -= 1
                if not self._by_client[listener, network]:
                    del self._by_client[listener, network]

    def is_stressed(self, listener: str, smtp: Smtp, *, before: bool) -> bool:
        """Whether a listener is nearly out of connections; `before` is the answer of the last call.

        One that has half of its own part free is not, whatever the others use.
        """
        if self.count(listener) < self._parts(smtp.max_connections)[listener] / 2:
            return False
        free, most = self._free(listener, smtp)
        return free < most * (STRESS_ENDS if before else STRESS_BEGINS)

    def _free(self, listener: str, smtp: Smtp) -> tuple[int, int]:
        """Return the free connections of a listener, and how many it has when nothing is in use."""
        limit = self._limit(smtp)
        parts = self._parts(limit)
        common = max(limit - sum(parts.values()), 0)
        borrowed = sum(max(len(self._all[name]) - part, 0) for name, part in parts.items())
        return self._own_free(listener, smtp) + max(common - borrowed, 0), parts[listener] + common

    def _own_free(self, listener: str, smtp: Smtp) -> int:
        """Return the free connections of a listener's own part."""
        return max(self._parts(self._limit(smtp))[listener] - len(self._all[listener]), 0)

    def _limit(self, smtp: Smtp) -> int:
        return smtp.max_connections if self._most is None else min(smtp.max_connections, self._most)

    def _longest_waiting(self, listener: str, smtp: Smtp) -> Waiting | None:
        """Return the stranger that has waited longest, here or at a listener that uses more than its part."""
        parts = self._parts(self._limit(smtp))
        strangers = [one for one in self._displaceable(listener, parts) if one.is_stranger]
        waiting = min(strangers, key=lambda one: one.waits_since, default=None)
        return None if waiting is None or waiting.waits_since == float("inf") else waiting

    def _displaceable(self, listener: str, parts: Mapping[str, int]) -> Iterator[Waiting]:
        for name, connections in self._all.items():
            if name == listener or len(connections) > parts[name]:
                yield from connections

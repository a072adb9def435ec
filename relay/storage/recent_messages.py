"""Messages accepted lately, in memory: their first claim reads neither row nor content, and compares no digest."""

from collections.abc import Iterable
from threading import Lock

from relay.content_file import LARGE
from relay.queue.entry import State
from relay.queue.message import Message, NewMessage
from relay.storage.integrity import Stored

MAX_OCTETS = 16 << 20
"""Octets of contents in memory, at most. The oldest ones are forgotten first."""

MAX_MESSAGES = 2000
"""Messages in memory, at most."""


class RecentMessages:
    """Accepted messages that wait for a claim. The store may forget each: it holds them all.

    Threads may share it: one adds, and another one claims.
    """

    def __init__(self, max_octets: int = MAX_OCTETS, max_messages: int = MAX_MESSAGES) -> None:
        self._max_octets = max_octets
        self._max_messages = max_messages
        self._messages: dict[str, tuple[Message, bytes]] = {}
        self._octets = 0
        self._lock = Lock()

    def __contains__(self, queue_id: str) -> bool:
        return queue_id in self._messages

    def add(self, accepted: Iterable[NewMessage]) -> None:
        """Add the messages that need a claim, unless they are large."""
        with self._lock:
            for one in accepted:
                queue_id = one.message.queue_id
                if queue_id in self._messages:
                    continue  # Its transaction runs again.
                if len(one.content) <= LARGE and any(entry.state is State.WAITING for entry in one.entries):
                    self._messages[queue_id] = one.message, one.content
                    self._octets += len(one.content)
            while self._octets > self._max_octets or len(self._messages) > self._max_messages:
                self._remove(next(iter(self._messages)))

    def take(self, queue_id: str, most: int) -> Stored | None:
        """Remove and return a message of at most `most` octets; None if it is not here."""
        with self._lock:
            found = self._messages.get(queue_id)
            if found is None or len(found[1]) > most:
                return None
            self._remove(queue_id)
        return *found, ""

    def _remove(self, queue_id: str) -> None:
        _, content = self._messages.pop(queue_id)
        self._octets -= len(content)

"""What servers showed lately: failures, faulty extensions, and the recipients they accept in a transaction."""

from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")

MAX_MEMBERS = 10_000
"""Keys of an ExpiringDict, at most."""

FAILING_FOR = 60.0
"""Seconds during which a server without a session is tried after the others."""

CLEAR_TEXT_FOR = 3600.0
"""Seconds during which a server with failing opportunistic TLS is contacted in clear text at once."""

MINIMAL_FOR = 6 * 3600.0
"""Seconds during which optional extensions stay unused at a server that rejected commands with them."""

RECIPIENTS_FOR = 6 * 3600.0
"""Seconds during which a limit of recipients holds that a server showed."""


class ExpiringDict(Generic[V]):
    """A bounded dict by server whose values expire after some seconds. `clock` is monotonic seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._kept: dict[str, tuple[float, V]] = {}

    def set(self, key: str, value: V) -> None:
        """Set a value, or renew it. A full dict drops its oldest key."""
        self._kept.pop(key, None)
        if len(self._kept) >= MAX_MEMBERS:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (self._clock() + self._seconds, value)

    def get(self, key: str) -> V | None:
        """Return the value of a key, None if there is none or it has expired."""
        until, value = self._kept.get(key, (0.0, None))
        if value is not None and until <= self._clock():
            del self._kept[key]
            return None
        return value

    def discard(self, key: str) -> None:
        """Remove a key, if present."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Remove all keys."""
        self._kept.clear()

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key) is not None


class ServerHistory:
    """What servers showed lately. A server is named as in the log: host, address and port."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.failing: ExpiringDict[bool] = ExpiringDict(FAILING_FOR, clock)
        self.clear_text: ExpiringDict[bool] = ExpiringDict(CLEAR_TEXT_FOR, clock)
        self.minimal: ExpiringDict[bool] = ExpiringDict(MINIMAL_FOR, clock)
        self.recipients: ExpiringDict[int] = ExpiringDict(RECIPIENTS_FOR, clock)
        """Recipients of one transaction, at most."""

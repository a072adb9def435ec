"""What was learnt about other servers and holds for a while: silence, failing TLS, extensions they trip over."""

from collections.abc import Callable, Hashable

MAX_REMEMBERED = 10_000


class Remembered:
    """A bounded set whose members are forgotten after some seconds. `clock` is monotonic seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until: dict[Hashable, float] = {}

    def add(self, key: Hashable) -> None:
        """Remember from now on; the oldest make room."""
        self._until.pop(key, None)
        if len(self._until) >= MAX_REMEMBERED:
            del self._until[next(iter(self._until))]
        self._until[key] = self._clock() + self._seconds

    def discard(self, key: Hashable) -> None:
        """Forget at once."""
        self._until.pop(key, None)

    def __contains__(self, key: object) -> bool:
        until = self._until.get(key)
        if until is None:
            return False
        if until <= self._clock():
            del self._until[key]
            return False
        return True

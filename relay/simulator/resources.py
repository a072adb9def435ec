"""What the sessions of the receiver share."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from relay.clock import Clock
from relay.mail.simulator_words import Reaction, Simulator
from relay.simulator.self_signed import self_signed_context

MAX_ATTEMPTS = 10_000
"""First attempts that are kept, at most; the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A mail that the receiver accepted, and what follows."""

    reaction: Reaction
    reverse_path: str
    recipient: str
    content: bytes
    at: float
    """Unix seconds."""


class FirstAttempts:
    """The times of first attempts, by reverse-path and recipient. They are in memory, and end with the process."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, str], float] = {}

    def is_early(self, key: tuple[str, str], seconds: float, now: float) -> bool:
        """Whether an attempt comes within so many seconds of the first one. The next one after it is a first again."""
        first = self._at.setdefault(key, now)
        if now < first + seconds:
            if len(self._at) > MAX_ATTEMPTS:
                del self._at[next(iter(self._at))]
            return True
        del self._at[key]
        return False


@dataclass(frozen=True)
class Resources:
    """Words and speed of the configuration, the clock, and what takes an accepted mail that something follows."""

    words: Callable[[], Simulator]
    speed: Callable[[], float]
    clock: Clock
    accepted: Callable[[Accepted], None]
    first_attempts: FirstAttempts

    @property
    def name(self) -> str:
        """The name of the receiver in its replies."""
        return self.words().domain or "simulator.invalid"

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """The context of STARTTLS, with a certificate of its own."""
        return self_signed_context(self.name, self.clock())

    def span(self, seconds: float) -> float:
        """Return a time of the words at the speed of the configuration."""
        return seconds / self.speed()

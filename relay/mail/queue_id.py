"""Queue ids: short, unique and sortable by time of arrival. No id shows those of other messages.

A returned Received field proves who got a message (`relay/inbound/proof.py`). Its queue id must not be guessed from
the id of a message of one's own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

_DIGITS = "0123456789ABCDFGHJKLMNPQRSTVWXYZ"
"""32 digits in ASCII order, upper case, with one vowel, so that ids rarely form words."""

TIME_DIGITS = 9

RANDOM_DIGITS = 5

LENGTH = TIME_DIGITS + RANDOM_DIGITS

RANDOM_SPACE = 32**RANDOM_DIGITS

_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
"""Two digits of a queue id by the value of their ten bits."""

_SHIFTS = range(5 * (LENGTH - 2), -1, -10)
"""Bits to the right of each two digits, from the left."""


def queue_id(now: float, serial: int) -> str:
    """Return the id of a message that arrived at `now` (Unix seconds).

    `serial` distinguishes messages of the same millisecond; it is used modulo RANDOM_SPACE (33 million). Nine digits of
    milliseconds last until the year 3084.
    """
    value = int(now * 1000) * RANDOM_SPACE + serial % RANDOM_SPACE
    return "".join([_PAIRS[value >> bits & 1023] for bits in _SHIFTS])


@dataclass(slots=True)
class KeyedNumbers:
    """Numbers that are unpredictable without the key: a keyed hash of a counter, which needs no system call."""

    key: bytes
    """Up to 64 octets."""
    _count: int = 0

    def __call__(self, below: int) -> int:
        """Return a number below the argument, which is far less than 2**64."""
        self._count += 1
        digest = blake2b(self._count.to_bytes(8, "big"), key=self.key, digest_size=8).digest()
        return int.from_bytes(digest, "big") % below


@dataclass(slots=True)
class QueueIds:
    """Ids of one process. Each has a serial of its own by chance, never twice in one millisecond."""

    random: Callable[[int], int]
    """Returns a number below its argument that cannot be predicted."""
    _millisecond: int = -1
    _used: set[int] = field(default_factory=set)
    """Serials of this millisecond."""

    def __call__(self, now: float) -> str:
        """Return the id of a message that arrived at `now` (Unix seconds)."""
        if int(now * 1000) != self._millisecond:
            self._millisecond = int(now * 1000)
            self._used.clear()
        while (serial := self.random(RANDOM_SPACE)) in self._used:
            pass
        self._used.add(serial)
        return queue_id(now, serial)


def time_of(queue_id: str) -> float:
    """Return the time at which the message with that queue id arrived, in Unix seconds. Raises ValueError."""
    if not is_queue_id(queue_id):
        raise ValueError(f"{queue_id!r} is not a queue id")
    value = 0
    for char in queue_id[:TIME_DIGITS]:
        value = 32 * value + _DIGITS.index(char)
    return value / 1000


def is_queue_id(text: str) -> bool:
    """Whether the text has the form of a queue id."""
    return len(text) == LENGTH and not text.strip(_DIGITS)

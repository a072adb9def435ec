"""Queue ids: short, unique and sortable by time of arrival. No id shows those of other messages.

A returned Received field proves who got a message (`relay/inbound/proof.py`). Its queue id must not be guessed from
the id of a message of one's own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from struct import Struct

_DIGITS = "0123456789ABCDFGHJKLMNPQRSTVWXYZ"
"""32 digits in ASCII order, upper case, with one vowel, so that ids rarely form words."""

TIME_DIGITS = 9

RANDOM_DIGITS = 5

LENGTH = TIME_DIGITS + RANDOM_DIGITS

RANDOM_SPACE = 32**RANDOM_DIGITS

_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
"""Two digits of a queue id by the value of their ten bits."""


def queue_id(now: float, serial: int) -> str:
    """Return the id of a message that arrived at `now` (Unix seconds).

    `serial` distinguishes messages of the same millisecond; it is used modulo RANDOM_SPACE (33 million). Nine digits of
    milliseconds last until the year 3084.
    """
    milliseconds, serial = int(now * 1000), serial % RANDOM_SPACE
    # In three parts of at most 30 bits: Python computes with larger numbers three times as slowly.
    high, middle, low = milliseconds >> 15, (milliseconds & 0x7FFF) << 5 | serial >> 20, serial & 0xFFFFF
    first = f"{_PAIRS[high >> 20 & 1023]}{_PAIRS[high >> 10 & 1023]}{_PAIRS[high & 1023]}"
    return f"{first}{_PAIRS[middle >> 10]}{_PAIRS[middle & 1023]}{_PAIRS[low >> 10]}{_PAIRS[low & 1023]}"


_NUMBERS = Struct(">8Q")
"""The numbers of one digest."""


@dataclass(slots=True)
class KeyedNumbers:
    """Numbers that are unpredictable without the key: a keyed hash of a counter, which needs no system call."""

    key: bytes
    """Up to 64 octets."""
    _count: int = 0
    _drawn: list[int] = field(default_factory=list)
    """Numbers of the last digest that are left."""

    def __call__(self, below: int) -> int:
        """Return a number below the argument, which is far less than 2**64."""
        if not self._drawn:
            self._count += 1
            digest = blake2b(self._count.to_bytes(8, "big"), key=self.key, digest_size=_NUMBERS.size).digest()
            self._drawn += _NUMBERS.unpack(digest)
        return self._drawn.pop() % below


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
        millisecond = int(now * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
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

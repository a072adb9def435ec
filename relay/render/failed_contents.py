"""Contents that killed or stalled a renderer: what failed twice is not tried again, in this message or one like it."""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256

TRIES = 2
"""Failures after which a content is not rendered that way again."""

_MAX_CONTENTS = 1000
"""Contents that are remembered."""


def key_of(content: bytes) -> bytes:
    """Return the key of a content."""
    return sha256(content).digest()


@dataclass(slots=True)
class _Failures:
    reason: str = ""
    counts: Counter[bool] = field(default_factory=Counter)
    """Failures with tracking (True) and without."""


class FailedContents:
    """The failures of the contents that failed last, by their keys."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, _Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def add(self, key: bytes, reason: str, *, tracked: bool) -> None:
        """Count a failure, with or without tracking."""
        failures = self._found.setdefault(key, _Failures())
        failures.counts[tracked] += 1
        failures.reason = failures.reason or reason
        self._found.move_to_end(key)
        if len(self._found) > _MAX_CONTENTS:
            self._found.popitem(last=False)

    def reason(self, key: bytes, *, tracked: bool) -> str:
        """Return why a content is not rendered that way any more, "" if it may be tried."""
        failures = self._found.get(key)
        return failures.reason if failures is not None and failures.counts[tracked] >= TRIES else ""

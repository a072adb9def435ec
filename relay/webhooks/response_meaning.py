"""What the answer of a receiver means for an event and for the webhook. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

MAX_WAIT = 86400.0
"""Seconds of a Retry-After that are respected, at most."""

FAILING_AFTER = 3
"""Failures in a row, after which the receiver counts as failing: it is reported, and one post tests it."""

MAX_PROBE_INTERVAL = 3600.0
"""Seconds between two posts that test a failing receiver, at most, unless it asks for more."""

_BUSY = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses by which a receiver asks for fewer posts, or is temporarily not there (RFC 9110, 6585, 8470)."""

_CLOSED = frozenset({401, 403, 404, 405, 407, 421, 426, 511})
"""Statuses by which a receiver refuses the relay, whatever the event: a wrong URL or login."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer, or none: then `status` is 0 and `text` has the reason."""

    status: int
    text: str = ""
    retry_after: str = ""
    seconds: float = 0.0
    """How long the receiver took."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """2xx: the event is delivered."""


@dataclass(frozen=True, slots=True)
class Gone:
    """410: the receiver asks for no further events."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The receiver takes nothing until later. `wait` has the seconds it asks for, 0 for none."""

    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """The receiver failed at this event: it is tried again, and others go on."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver refuses this event for good."""


Meaning = Accepted | Gone | Unavailable | Failed | Refused


def classify_response(response: Response, now: float) -> Meaning:
    """Return what an answer means. A redirect is not followed: it could lead anywhere."""
    status = response.status
    if 200 <= status < 300:
        return Accepted()
    if status == 410:
        return Gone()
    if status in _BUSY:
        return Unavailable(retry_after_seconds(response.retry_after, now))
    if status in _CLOSED or status < 400:
        return Unavailable()
    return Refused() if status < 500 else Failed()


def retry_after_seconds(text: str, now: float) -> float:
    """Return the seconds of a Retry-After field, a number or a date (RFC 9110 section 10.2.3), 0 for none."""
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_WAIT)
    try:
        at = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(at - now, 0.0), MAX_WAIT)


def retry_at(schedule: Sequence[float], attempts: int, now: float, jitter: float, at_least: float = 0.0) -> float:
    """Return the time of the attempt after number `attempts`. `jitter` is in [-1, 1], for a tenth of the wait."""
    wait = schedule[min(max(attempts, 1), len(schedule)) - 1]
    return now + max(wait * (1 + 0.1 * jitter), at_least)

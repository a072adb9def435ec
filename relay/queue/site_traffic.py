"""The traffic of one site: its recent replies, and the messages that its rate allows now. Times are Unix seconds."""

from collections import deque
from dataclasses import dataclass, replace

from relay.queue.site_rate import FLOOR, RateChange, RecentReplies, SiteRate, clock_set

BUCKET = 5.0
"""Seconds that one count of replies covers."""

BUCKETS = 12
"""Counts of replies that are kept: a minute."""

MAX_CHANGES = 5
"""Changes of a rate that are kept for operators."""

BURST = 0.5
"""Seconds of the rate that may leave at once."""

FIRST_CONNECTIONS = 5
"""Connections of a site that has accepted nothing lately. Each further eight messages allow one more."""

_MESSAGES_PER_CONNECTION = 8


@dataclass(slots=True)
class Permit:
    """Messages of a claim that have taken their places in the rate, at `at`."""

    at: float
    left: int


class SiteTraffic:
    """Counts replies, and gives out the messages that the rate allows. No rate means no limit."""

    def __init__(self) -> None:
        self.rate: SiteRate | None = None
        self.bound = 0.0
        """Messages a minute at most, by the profile; 0 for no bound."""
        self.unsaved_use = 0.0
        """Seconds of use that the store does not have yet."""
        self.accepted = 0
        """Messages that it accepted since it is in use."""
        self.last_at = 0.0
        """Time of the last message."""
        self.history: deque[RateChange] = deque(maxlen=MAX_CHANGES)
        """The last changes of the rate, the latest last. They begin with the process."""
        self._counts: deque[list[int]] = deque(maxlen=BUCKETS)
        """Bucket number, accepted messages, requests to slow down."""
        self._next_at = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether messages have to wait for the rate."""
        return self.rate is not None or self.bound > 0

    @property
    def messages_per_minute(self) -> float:
        """The rate now, 0 for no limit."""
        found = self.rate.messages_per_minute if self.rate is not None else self.bound
        return min(found, self.bound) if self.bound else found

    @property
    def most_connections(self) -> int:
        """Connections that the replies allow so far."""
        if self.rate is not None:
            return self.rate.connections
        return FIRST_CONNECTIONS + self.accepted // _MESSAGES_PER_CONNECTION

    def count(self, now: float, *, accepted: bool) -> None:
        """Count a message by its reply: accepted, or a request to slow down."""
        self.last_at = now
        self.accepted += accepted
        bucket = int(now // BUCKET)
        if not self._counts or self._counts[-1][0] != bucket:
            self._counts.append([bucket, 0, 0])
        self._counts[-1][1 if accepted else 2] += 1

    def recent(self, now: float, part: float) -> RecentReplies:
        """Return the replies of the last minute; this node has that part of the traffic."""
        first = int(now // BUCKET) - BUCKETS
        kept = [count for count in self._counts if count[0] > first]
        return RecentReplies(sum(one[1] for one in kept) / part, sum(one[2] for one in kept) / part)

    def free(self, now: float, part: float) -> int:
        """Return the messages that may leave now; the rate of this node is that part of the site's."""
        if self.rate is not None and now < self.rate.not_before:
            return 0
        interval = self._interval(part)
        first = max(self._next_at, now - BURST)
        free = int((now - first) / interval) + 1 if first <= now else 0
        return min(free, 1) if self.rate is not None and self.rate.refusals else free

    def take(self, now: float, part: float) -> bool:
        """Take the place of one message, if one may leave now."""
        if self.free(now, part) <= 0:
            return False
        self._next_at = max(self._next_at, now - BURST) + self._interval(part)
        if self.rate is not None and self.rate.refusals:
            self._next_at = max(self._next_at, now + BURST)
        return True

    def free_at(self, now: float) -> float:
        """Return when the next message may leave."""
        waits = self.rate.not_before if self.rate is not None else 0.0
        return max(waits, self._next_at, now)

    def clock_set(self, step: float) -> None:
        """Move the times by a step of the clock, in seconds."""
        self._next_at += step
        self.last_at += step
        for _ in range(len(self.history)):
            change = self.history.popleft()
            self.history.append(replace(change, at=change.at + step))
        if self.rate is not None:
            self.rate = clock_set(self.rate, step)

    def _interval(self, part: float) -> float:
        return 60.0 / (max(self.messages_per_minute, FLOOR) * part)

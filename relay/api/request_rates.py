"""Requests a minute of each credential. Pure: the time is a parameter."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class RequestRates:
    """A token bucket for each credential. It holds the requests of one minute.

    Only credentials of the configuration have one, so that their number is bounded.
    """

    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Requests left, and the time of the last one, by credential."""

    def take(self, credential: str, per_minute: int, now: float) -> float:
        """Take a request at `now`, in seconds; return 0, or the seconds until there is one again."""
        left, at = self._buckets.get(credential, (float(per_minute), now))
        left = min(float(per_minute), left + max(0.0, now - at) * per_minute / 60)
        if left < 1:
            self._buckets[credential] = (left, now)
            return (1 - left) * 60 / per_minute
        self._buckets[credential] = (left - 1, now)
        return 0.0

"""Retry schedule and back-off of deferred entries."""

from dataclasses import dataclass

JITTER = 0.1
"""Fraction by which a wait is lengthened or shortened: entries that fail together are then not retried together."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Retry intervals and expiry, in seconds."""

    retry: tuple[float, ...]
    """Waits after the first, second … attempt; the last repeats."""
    lifetime: float
    delay_notice: float = 0.0
    """Age of an entry at which a delay notification is sent; 0 sends none."""

    @property
    def longest_wait(self) -> float:
        """Seconds that no wait of this schedule exceeds, jitter included."""
        return max(self.retry) * (1 + JITTER) * 2


def next_attempt(
    schedule: RetrySchedule, attempts: int, now: float, expires_at: float, jitter: float, at_least: float
) -> float:
    """Return the time of the attempt after `attempts` attempts.

    `jitter` is in [-1, 1]. `at_least` is the wait in seconds that the server asked for, 0 for none. The last attempt is
    made at `expires_at` itself, so that the whole lifetime is used.
    """
    wait = schedule.retry[min(attempts, len(schedule.retry)) - 1] * (1 + JITTER * jitter)
    due = now + max(wait, at_least)
    return min(due, expires_at) if now < expires_at else due

"""When a deferred entry is tried again, and for how long."""

from dataclasses import dataclass

JITTER = 0.1
"""Share by which a wait is varied either way, so that what failed together does not return together."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """The waits between attempts and the end of patience, in seconds."""

    retry: tuple[float, ...]
    """Waits after the first, second … attempt; the last repeats."""
    lifetime: float
    delay_notice: float = 0.0
    """Age at which the sender is told that delivery is delayed; 0 never."""

    @property
    def longest_wait(self) -> float:
        """The longest wait the schedule can give, jitter included."""
        return max(self.retry) * (1 + JITTER) * 2


def next_attempt(
    schedule: RetrySchedule, attempts: int, now: float, expires_at: float, jitter: float, at_least: float
) -> float:
    """Return when to try again after `attempts` attempts.

    `jitter` lies in [-1, 1]; `at_least` is a wait in seconds the other side asked for (0: none). The last attempt is
    made at `expires_at` itself, so that the whole lifetime is used.
    """
    wait = schedule.retry[min(attempts, len(schedule.retry)) - 1] * (1 + JITTER * jitter)
    due = now + max(wait, at_least)
    return min(due, expires_at) if now < expires_at else due

"""Rates of bounces and complaints over a window, at which an identity is paused. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """Numbers of recipients of one identity."""

    sent: int = 0
    """Delivered or bounced at once."""
    bounced: int = 0
    """Bounced for a fault of the address or the sender, at once or after the delivery."""
    complaints: int = 0

    def plus(self, other: "OutcomeCounts") -> "OutcomeCounts":
        """Return the sums."""
        return OutcomeCounts(self.sent + other.sent, self.bounced + other.bounced, self.complaints + other.complaints)


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The highest rates, as shares of the recipients, and the smallest numbers that count. A rate of 0 is no limit."""

    window: float
    """Seconds."""
    bounce_rate: float
    min_bounces: int
    complaint_rate: float
    min_complaints: int


@dataclass(frozen=True, slots=True)
class Excess:
    """A rate that is too high: its name ("complaints" or "bounces"), and the reason in words."""

    cause: str
    why: str


def find_excess(counts: OutcomeCounts, limits: RateLimits) -> Excess | None:
    """Return the rate that is too high, None if there is none. Complaints weigh more, and come first."""
    hours = f"{limits.window / 3600:g} hours"
    for cause, verb, count, rate, least in (
        ("complaints", "complained", counts.complaints, limits.complaint_rate, limits.min_complaints),
        ("bounces", "bounced", counts.bounced, limits.bounce_rate, limits.min_bounces),
    ):
        # Complaints come late: the mail they are about may have left before the window.
        recipients = max(counts.sent, count)
        if rate and count >= least and count >= rate * recipients:
            share = f"{_percent(count / recipients)}, the limit is {_percent(rate)}"
            return Excess(cause, f"{count} of {recipients} recipients {verb} within {hours} ({share})")
    return None


def _percent(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"

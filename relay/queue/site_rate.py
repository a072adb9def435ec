"""The rate that a site accepts, found by its replies. Pure.

A site that asks to slow down gets half of the rate that it accepted, after a short wait. The rate then returns to the
one that was found, stays near it, and grows beyond it ever faster. The site may accept more by now. That is the shape
of CUBIC (RFC 9438), with a longer plateau: each attempt beyond the limit costs deferrals. A site that refuses all mail
is only probed.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

ChangeKind = Literal["slowed", "probed", "recovered", "unlimited"]

FLOOR = 1.0
"""Messages a minute that any site gets at least."""

RECOVERY = 480.0
"""Seconds of use after which a site that asked to slow down is back at the rate that was found."""

BLOCK_RECOVERY = 7200.0
"""The same for a site that blocked us."""

DOUBLING = 60.0
"""Seconds of use in which an estimated rate doubles."""

_POWER = 7
"""Odd power of the curve: the higher, the longer its plateau."""

WAITS = (10.0, 50.0, 60.0)
"""Seconds to the next message after the first, second … refusal in a row; the last repeats."""

PROBING = len(WAITS)
"""Refusals in a row after which a site is only probed."""

MIN_BETWEEN = 60.0
"""Seconds between two cuts of the rate, at least: a site that counts by the minute goes on refusing for a while."""

MIN_FOUND = 6.0
"""Messages a minute that count as accepted by a site whose first replies ask to slow down."""

MIN_SHARE = 0.03
"""Share of the replies of a minute that must ask to slow down: single ones concern a mailbox or a message."""

NO_LIMIT = 2.6
"""Multiple of the recovery in use without a refusal after which the site has no limit any more."""

DAY = 86400.0
"""Seconds without mail after which the rate doubles: what a site accepted a week ago says little."""

MAX_AGE = 7 * DAY
"""Seconds without mail after which a rate is forgotten."""


@dataclass(frozen=True, slots=True)
class SiteRate:
    """What was found about one site. Times are Unix seconds."""

    found: float
    """Messages a minute that it accepted when it last asked to slow down."""
    cut_at: float
    """Time of the last cut."""
    connections: int = 1
    """Connections that it may have."""
    used: float = 0.0
    """Seconds of use since the cut."""
    refusals: int = 0
    """Requests to slow down in a row."""
    changed_at: float = 0.0
    """Time of the last cut or refusal. Replies to attempts that began until then are no news."""
    not_before: float = 0.0
    """Time of the next message, after a refusal."""
    is_estimate: bool = False
    """Whether `found` may be too low: it counts a burst, which ended before the site showed its rate."""
    blocked: bool = False
    """Whether the site refused all mail: it recovers more slowly."""
    why: str = ""
    """The reply that caused the cut."""

    @property
    def messages_per_minute(self) -> float:
        """The rate now."""
        if self.blocked:
            return max(FLOOR, self.found * self.used / BLOCK_RECOVERY)
        if self.is_estimate:
            return max(FLOOR, self.found / 2 * math.pow(2.0, self.used / DOUBLING))
        x = (self.used - RECOVERY) / RECOVERY
        return max(FLOOR, self.found * (1 + 0.5 * math.pow(x, _POWER)))

    @property
    def is_probing(self) -> bool:
        """Whether the site gets single messages only, until it accepts one."""
        return self.refusals >= PROBING


@dataclass(frozen=True, slots=True)
class RecentReplies:
    """The messages of the last minute by reply, over all nodes."""

    accepted: float
    slow_down: float

    @property
    def is_significant(self) -> bool:
        """Whether so many replies ask to slow down that they concern all mail."""
        return self.slow_down >= MIN_SHARE * (self.accepted + self.slow_down)


def slowed(
    rate: SiteRate | None, recent: RecentReplies, started_at: float, now: float, connections: int, why: str
) -> SiteRate | None:
    """Return the rate after a reply that asks to slow down, to an attempt that began at `started_at`.

    `connections` are those that the site may have without a limit. A burst of such replies counts once.
    """
    if not recent.is_significant or (rate is not None and started_at <= rate.changed_at):
        return rate
    if rate is None:
        found = max(recent.accepted, MIN_FOUND)
        rate = SiteRate(found, now, max(1, connections // 2), is_estimate=True, why=why)
    elif rate.used and not rate.refusals and now - rate.cut_at >= MIN_BETWEEN:
        found = max(min(recent.accepted, rate.messages_per_minute), FLOOR)
        rate = SiteRate(found, now, max(1, min(rate.connections, connections) // 2), why=why)
    return _refused(rate, now)


def _refused(rate: SiteRate, now: float) -> SiteRate:
    until = now + WAITS[min(rate.refusals, len(WAITS) - 1)]
    connections = 1 if rate.refusals + 1 >= PROBING else rate.connections
    return replace(
        rate,
        refusals=rate.refusals + 1,
        connections=connections,
        changed_at=now,
        not_before=max(rate.not_before, until),
    )


def blocked(rate: SiteRate | None, recent: RecentReplies, now: float, until: float, why: str) -> SiteRate:
    """Return the rate of a site that refuses all mail: from `until` on it is probed."""
    found = rate.found if rate is not None else max(recent.accepted, MIN_FOUND)
    return SiteRate(found, now, refusals=PROBING, changed_at=now, not_before=until, blocked=True, why=why)


def accepted(rate: SiteRate, started_at: float) -> SiteRate | None:
    """Return the rate after an accepted message, None if there is no limit any more.

    The message counts as a time of use: its part of a minute. Each half minute of use allows one more connection.
    """
    if started_at <= rate.changed_at:
        return rate
    used = rate.used + 60.0 / rate.messages_per_minute
    connections = rate.connections + int(used // 30.0 > rate.used // 30.0)
    if rate.blocked and used >= BLOCK_RECOVERY:
        return replace(rate, used=RECOVERY, refusals=0, connections=connections, blocked=False)
    if not rate.blocked and used > NO_LIMIT * RECOVERY:
        return None
    return replace(rate, used=used, refusals=0, connections=connections)


def aged(rate: SiteRate, now: float) -> SiteRate | None:
    """Return the rate after a time without mail, None when it says nothing any more."""
    idle = now - rate.changed_at - rate.used
    if idle > MAX_AGE:
        return None
    days = int(idle / DAY)
    return replace(rate, found=rate.found * 2.0**days, changed_at=now - rate.used) if days > 0 else rate


def clock_set(rate: SiteRate, step: float) -> SiteRate:
    """Return the rate after a step of the clock, in seconds."""
    return replace(
        rate, cut_at=rate.cut_at + step, changed_at=rate.changed_at + step, not_before=rate.not_before + step
    )


@dataclass(frozen=True, slots=True)
class RateChange:
    """A change of a rate that operators should see."""

    kind: ChangeKind
    site: str
    rate: float
    """Messages a minute, 0 for no limit."""
    why: str
    at: float = 0.0
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class SavedRate:
    """A rate for the store; None removes it."""

    key: str
    rate: SiteRate | None
    use: float
    """Seconds of use to add, if the store has the same cut."""


def kind_of_change(before: SiteRate | None, rate: SiteRate | None) -> ChangeKind | None:
    """Return what operators should see of a change, None for nothing."""
    if rate is None:
        return "unlimited"
    if before is None or rate.cut_at != before.cut_at:
        return "probed" if rate.is_probing else "slowed"
    if rate.is_probing != before.is_probing:
        return "probed" if rate.is_probing else "recovered"
    return None

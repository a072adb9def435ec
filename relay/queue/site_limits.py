"""Values of the rates of sites: what a claim may take, and changes of rates. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from relay.queue.site_rate import SiteRate

ChangeKind = Literal["slowed", "probed", "recovered", "unlimited"]


@dataclass(slots=True)
class Permit:
    """Messages of a claim that have taken their places in the rate, at `at`."""

    at: float
    left: int


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """The entries that a claim may take by site."""

    group_of: Mapping[str, str] = field(default_factory=dict)
    """Groups by lane."""
    free: Mapping[str, int] = field(default_factory=dict)
    """Entries by group; groups without a limit are left out."""


NO_SITE_LIMITS = SiteLimits()


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

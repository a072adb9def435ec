"""Entries of the queue that are not final, by state and reason, and the age of the oldest; as a collector."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

PROVIDER = "provider:"
"""Prefix of the lanes of providers."""

DIRECT = "direct"
"""Provider of the lanes of destination domains."""


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """Entries by state and reason; by provider the age of the oldest waiting message, and the delay of the next one."""

    entries: Mapping[tuple[str, str], int] = field(default_factory=dict)
    oldest: Mapping[str, float] = field(default_factory=dict)
    """Seconds since its arrival."""
    overdue: Mapping[str, float] = field(default_factory=dict)
    """Seconds since its next attempt was due. Mail of paused lanes does not count."""
    paused: Collection[str] = ()
    """Paused providers."""


@dataclass(frozen=True, slots=True)
class LaneDepth:
    """The number of entries of a lane in one state, due or not, and the time of the first attempt among them."""

    lane: str
    state: str
    due: bool
    count: int
    first_attempt_at: float


def queue_figures(
    depth: Iterable[LaneDepth], arrivals: Mapping[str, float], paused: Collection[str], damaged: int, now: float
) -> QueueFigures:
    """Return the figures of a queue.

    `arrivals` has the time of the oldest waiting message of each lane. Entries of `paused` lanes wait for the end of
    the pause. `damaged` counts held ones.
    """
    entries: Counter[tuple[str, str]] = Counter()
    overdue: defaultdict[str, float] = defaultdict(float)
    for one in depth:
        reason = _reason(one, paused)
        entries[one.state, reason] += one.count
        if reason == "due":
            provider = provider_label(one.lane)
            overdue[provider] = max(overdue[provider], now - one.first_attempt_at)
    if damaged:
        entries["held", "operator"] -= damaged
        entries["held", "damaged"] = damaged

    oldest: defaultdict[str, float] = defaultdict(float)
    for lane, arrived_at in arrivals.items():
        provider = provider_label(lane)
        oldest[provider] = max(oldest[provider], now - arrived_at)
    providers = sorted(provider_label(lane) for lane in paused if lane.startswith(PROVIDER))
    return QueueFigures({key: count for key, count in entries.items() if count > 0}, oldest, overdue, providers)


def provider_label(lane: str) -> str:
    """Return the provider of a lane, "direct" for that of a destination domain."""
    return lane.removeprefix(PROVIDER) if lane.startswith(PROVIDER) else DIRECT


def _reason(depth: LaneDepth, paused: Collection[str]) -> str:
    if depth.state == "waiting":
        return "paused" if depth.lane in paused else "due" if depth.due else "later"
    return "operator" if depth.state == "held" else "attempt"


class QueueCollector(Collector):
    """The last figures. A state without entries has no sample, and so no stale value."""

    def __init__(self) -> None:
        self.figures = QueueFigures()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the entries by state and reason, the waiting times, and the paused providers."""
        entries = GaugeMetricFamily("relay_queue_entries", "Queue entries by state", labels=["state", "reason"])
        for key, count in self.figures.entries.items():
            entries.add_metric(key, count)
        oldest = GaugeMetricFamily(
            "relay_queue_oldest_seconds", "Age of the oldest waiting message", labels=["state", "provider"]
        )
        for provider, seconds in self.figures.oldest.items():
            oldest.add_metric(["waiting", provider], seconds)
        overdue = GaugeMetricFamily(
            "relay_queue_overdue_seconds", "Time since the next attempt was due", labels=["provider"]
        )
        for provider, seconds in self.figures.overdue.items():
            overdue.add_metric([provider], seconds)
        paused = GaugeMetricFamily("relay_provider_paused", "1 for a paused provider", labels=["provider"])
        for provider in self.figures.paused:
            paused.add_metric([provider], 1)
        yield from (entries, oldest, overdue, paused)

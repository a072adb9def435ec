"""Prometheus metrics, and the counters of the last hour for the dashboard."""

from collections import Counter as Tally
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

_DELAYS = (0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 3600, 21600, 86400, 259200)
"""Seconds: upper bounds of the buckets of the delivery delay."""

MOST_SITES = 20
"""Sites with labels of their own; the others are "other" together."""


@dataclass(frozen=True, slots=True)
class SiteFigures:
    """The figures of one site."""

    name: str
    rate: float | None
    """Messages a minute, None without a limit."""
    connections: int
    waiting: int
    oldest: float | None = None
    """Seconds that the oldest waiting message has waited, None without one."""


class Metrics:
    """The metrics of one process, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.delay = Histogram(
            "relay_delivery_delay_seconds", "From acceptance to delivery", buckets=_DELAYS, registry=self.registry
        )
        self.events = self._counter("events_total", "Events by kind", "kind")
        self.events_folded = self._counter("events_folded_total", "Opens and clicks that were counted in another event")
        self.events_shed = self._counter("events_shed_total", "Opens and clicks not kept: disk space is short")
        self.refused = self._counter("refused_total", "SMTP transactions refused, by reply code", "code")
        self.smtp_connections = self._gauge("smtp_connections", "Open connections to a listener", "listener")
        self.spam_checks = self._counter(
            "spam_checks_total", "Messages given to the spam filter, by result: ham, spam, later, unchecked", "result"
        )
        self.render_failures = self._counter("render_failures_total", "Messages sent as they came: a renderer failed")
        self.render_restarts = self._counter("render_restarts_total", "Renderers that ended or did not start")
        self.alerts = self._counter("lane_pauses_total", "Lanes paused, by category of the reply", "category")
        self.identity_pauses = self._counter("identity_pauses_total", "Identities paused, by cause", "cause")
        self.identities_paused = self._gauge("identities_paused", "Identities that are paused")
        self.audit_leaks = self._gauge("audit_leaks", "Leaks that the last audit found")
        self.tracking_up = self._gauge("tracking_up", "1 while the tracker answers by this base URL", "base_url")
        self.certificate_expires = self._gauge(
            "certificate_expires", "End of the validity of a listener's certificate, in Unix seconds", "listener"
        )
        self.damaged = self._counter("damaged_total", "Queue entries held because the stored message is damaged")
        self.store_trouble = self._gauge("store_trouble", "1 while the store does not answer")
        self.webhook_posts = self._counter(
            "webhook_posts_total",
            "Posts to a webhook, by result: accepted, unavailable, failed, refused, gone",
            *("webhook", "result"),
        )
        self.webhook_lag = self._gauge(
            "webhook_lag_seconds", "Age of the first event that is not posted to a webhook", "webhook"
        )
        self.webhook_failures = self._gauge(
            "webhook_failures", "Events whose post to a webhook failed and is tried again", "webhook"
        )
        self._depth, self._sites = _Depth(), _Sites()
        self.registry.register(self._depth)
        self.registry.register(self._sites)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"relay_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"relay_{name}", text, labels, registry=self.registry)

    def count(self, kind: str, number: int = 1) -> None:
        """Increase the counter of a kind of event."""
        self.events.labels(kind).inc(number)

    def set_depth(self, depth: Mapping[str, int]) -> None:
        """Set the number of queue entries by state."""
        self._depth.depth = depth

    def set_sites(self, sites: Sequence[SiteFigures]) -> None:
        """Set the figures of the sites in use, the busiest first."""
        self._sites.sites = sites

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


class _Depth:
    """Collector of the queue depth. A state without entries has no sample, and so no stale value."""

    def __init__(self) -> None:
        self.depth: Mapping[str, int] = {}

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the depth as one family with a sample for each state."""
        family = GaugeMetricFamily("relay_queue_entries", "Queue entries by state", labels=["state"])
        for state, count in self.depth.items():
            family.add_metric([state], count)
        yield family


class _Sites:
    """Collector of the busiest sites. A site that is not in use any more has no sample."""

    def __init__(self) -> None:
        self.sites: Sequence[SiteFigures] = ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return rate, connections and waiting entries of the sites."""
        busiest, others = self.sites[:MOST_SITES], self.sites[MOST_SITES:]
        rate = GaugeMetricFamily("relay_site_rate", "Messages a minute that a site with a limit gets", labels=["site"])
        connections = GaugeMetricFamily("relay_site_connections", "Connections that a site may have", labels=["site"])
        waiting = GaugeMetricFamily("relay_site_waiting", "Waiting queue entries by site", labels=["site"])
        oldest = GaugeMetricFamily("relay_site_oldest_seconds", "Age of the oldest waiting message", labels=["site"])
        for site in busiest:
            connections.add_metric([site.name], site.connections)
            waiting.add_metric([site.name], site.waiting)
            if site.rate is not None:
                rate.add_metric([site.name], site.rate)
            if site.oldest is not None:
                oldest.add_metric([site.name], site.oldest)
        if others:
            waiting.add_metric(["other"], sum(site.waiting for site in others))
        if ages := [site.oldest for site in others if site.oldest is not None]:
            oldest.add_metric(["other"], max(ages))
        yield from (rate, connections, waiting, oldest)


MINUTES = 60
"""Minutes that the counts cover."""


class HourlyCounts:
    """Counts by name over the last hour; they begin with the process."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, Tally[str]]] = deque(maxlen=MINUTES)

    def count(self, name: str, now: float, number: int = 1) -> None:
        """Add to a count at the time `now`, in Unix seconds."""
        minute = int(now // 60)
        if not self._minutes or self._minutes[-1][0] < minute:
            self._minutes.append((minute, Tally()))
        self._minutes[-1][1][name] += number

    def sums(self, now: float) -> Mapping[str, int]:
        """Return the counts of this minute and the 59 before it."""
        first = int(now // 60) - MINUTES + 1
        total: Tally[str] = Tally()
        for minute, counted in self._minutes:
            if minute >= first:
                total.update(counted)
        return total

"""The Prometheus metrics of one process."""

from collections.abc import Mapping, Sequence
from platform import python_version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from relay import __version__
from relay.metrics.collectors import CounterCollector, HistogramCollector
from relay.metrics.deliveries import DeliveryCounter
from relay.metrics.domain_figures import DomainCollector, DomainFigures
from relay.metrics.durations import Durations
from relay.metrics.limit_figures import LimitCollector
from relay.metrics.queue_figures import QueueCollector, QueueFigures
from relay.metrics.site_figures import SiteCollector, SiteFigures
from relay.metrics.tracker_requests import TrackerRequestCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of the exposition, in the text format of Prometheus."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # They double the lines, and no query needs them.

_DELAYS = (0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 3600, 21600, 86400, 259200)
"""Seconds: upper bounds of the buckets of the delivery delay."""


class Metrics:
    """The metrics of one process, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.delay = HistogramCollector(
            "relay_delivery_delay_seconds", "From acceptance to delivery", _DELAYS, self.registry
        ).of()
        self._events = CounterCollector("relay_events", "Events by kind", ("kind",), self.registry)
        self.engagement = self._counter("engagement_total", "Opens and clicks by verdict", "kind", "verdict")
        self.events_folded = self._counter("events_folded_total", "Opens and clicks that were counted in another event")
        self.events_shed = self._counter("events_shed_total", "Opens and clicks not kept: disk space is short")
        self._add_smtp()
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
        self._add_store()
        self._add_webhooks()
        self._add_bounce_mailbox()
        self.deliveries = DeliveryCounter(self.registry)
        self.durations = Durations(self.registry)
        self._queue, self._sites, self._domains = QueueCollector(), SiteCollector(), DomainCollector()
        self._limits, requests = LimitCollector(), TrackerRequestCollector()
        self.tracker_requests = requests.counts
        """Requests that the tracker answered, by kind and status."""
        for collector in (self._queue, self._sites, self._domains, self._limits, requests):
            self.registry.register(collector)
        self._add_process()

    def _add_smtp(self) -> None:
        """Add the figures of the listeners of mail."""
        self.refused = self._counter("refused_total", "SMTP transactions refused, by reply code", "code")
        self.smtp_connections = self._gauge("smtp_connections", "Open connections to a listener", "listener")
        accepted = CounterCollector(
            "relay_smtp_accepted", "Messages accepted by a listener", ("listener",), self.registry
        )
        octets = CounterCollector("relay_smtp_bytes", "Octets of the messages accepted", ("listener",), self.registry)
        self.smtp_accepted, self.smtp_bytes = accepted.counts, octets.counts
        self.auth_failures = self._counter("auth_failures_total", "Failed logins at a listener", "listener")

    def _add_store(self) -> None:
        """Add the figures of store and disk."""
        self.store_trouble = self._gauge("store_trouble", "1 while the store does not answer")
        self.store_up = self._gauge("store_up", "1 while the store answers")
        self.store_up.set(1)
        self.store_bytes = self._gauge("store_bytes", "Octets of the SQLite database and its log")
        self.disk_free_bytes = self._gauge("disk_free_bytes", "Octets free on the disk of the data directory")

    def _add_webhooks(self) -> None:
        """Add the figures of webhooks."""
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

    def _add_bounce_mailbox(self) -> None:
        """Add the figures of the bounce mailbox."""
        self.imap_up = self._gauge("imap_up", "1 if the last poll of the bounce mailbox succeeded", "host")
        self.imap_last_success = self._gauge(
            "imap_last_success_timestamp_seconds", "Last successful poll of the bounce mailbox, in Unix seconds", "host"
        )

    def _add_process(self) -> None:
        """Add the version, and the figures of process and garbage collector."""
        build = self._gauge("build_info", "Version of relay and Python", "version", "python")
        build.labels(__version__, python_version()).set(1)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"relay_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"relay_{name}", text, labels, registry=self.registry)

    def count(self, kind: str, number: int = 1) -> None:
        """Increase the counter of a kind of event."""
        self._events.counts[kind,] += number

    def set_queue(self, figures: QueueFigures) -> None:
        """Set the entries of the queue and the age of the oldest."""
        self._queue.figures = figures

    def set_limits(self, ratios: Mapping[tuple[str, str], float]) -> None:
        """Set how much of the limits is used, by kind and name of the provider."""
        self._limits.ratios = ratios

    def set_domains(self, domains: Sequence[DomainFigures]) -> None:
        """Set the state of the sending domains."""
        self._domains.domains = domains

    def set_sites(self, sites: Sequence[SiteFigures]) -> None:
        """Set the figures of the sites in use, the busiest first."""
        self._sites.sites = sites

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

"""The figures of the busiest sites, as a collector."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

MAX_SITES = 20
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


class SiteCollector(Collector):
    """Collector of the busiest sites. A site that is not in use any more has no sample."""

    def __init__(self) -> None:
        self.sites: Sequence[SiteFigures] = ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return rate, connections and waiting entries of the sites."""
        busiest, others = self.sites[:MAX_SITES], self.sites[MAX_SITES:]
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

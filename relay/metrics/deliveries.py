"""Counts the results of delivery attempts by provider, site and category."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry

from relay.metrics.collectors import CounterCollector
from relay.metrics.queue_figures import provider_label
from relay.metrics.site_figures import MAX_SITES


class DeliveryCounter:
    """The results of attempts. Sites with a profile and the first MAX_SITES others have a label of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._results = CounterCollector(
            "relay_deliveries",
            "Results of delivery attempts, by recipient",
            ("provider", "site", "result", "category"),
            registry,
        )
        self.profiles: Collection[str] = ()
        """Names of the sites with a profile."""
        self._others: set[str] = set()

    def count(self, lane: str, site: str, result: str, category: str, number: int = 1) -> None:
        """Count results in a lane. `site` is "" for a provider, and for a destination whose servers were not found."""
        self._results.counts[provider_label(lane), self._label_of(site), result, category] += number

    def _label_of(self, site: str) -> str:
        if not site or site in self.profiles or site in self._others:
            return site
        if len(self._others) >= MAX_SITES:
            return "other"
        self._others.add(site)
        return site

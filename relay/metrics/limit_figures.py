"""How much of the limits is used, as a collector."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class LimitCollector(Collector):
    """The last figures. A provider without a limit has no sample."""

    def __init__(self) -> None:
        self.ratios: Mapping[tuple[str, str], float] = {}
        """By kind and name of the provider; "" for the identity that has used most of its limit."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the ratios."""
        family = GaugeMetricFamily(
            "relay_limit_used_ratio",
            "Share of a limit that is used, of identities the highest",
            labels=["kind", "name"],
        )
        for key, ratio in self.ratios.items():
            family.add_metric(key, ratio)
        yield family

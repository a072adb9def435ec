"""Sending domains and their DKIM keys as DNS has them; as a collector."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class DomainFigures:
    """State of a sending domain (unchecked, passing, failing), and whether DNS has each key that signs, by selector."""

    name: str
    state: str
    keys: Sequence[tuple[str, bool]] = ()


class DomainCollector(Collector):
    """The last figures. A domain that is not configured any more has no sample."""

    def __init__(self) -> None:
        self.domains: Sequence[DomainFigures] = ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the state of the domains, and whether DNS has their keys."""
        states = GaugeMetricFamily("relay_domain_state", "1 for the state of a domain", labels=["domain", "state"])
        keys = GaugeMetricFamily(
            "relay_dkim_key_in_dns", "1 if DNS has the key that signs", labels=["domain", "selector"]
        )
        for domain in self.domains:
            states.add_metric([domain.name, domain.state], 1)
            for selector, shown in domain.keys:
                keys.add_metric([domain.name, selector], shown)
        yield from (states, keys)

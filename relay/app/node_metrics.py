"""The metrics of several nodes in one exposition. Pure."""

from collections.abc import Iterable, Mapping
from typing import cast

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

LABEL = "node"


def merged(expositions: Mapping[str, str]) -> bytes:
    """Return the samples of all nodes, each with the label `node`. Raises ValueError for what is no exposition.

    Nothing is added up: a sum over the label does that, and some gauges are of the database that all nodes share.
    """
    families: dict[str, Metric] = {}
    for node, text in expositions.items():
        for family in text_string_to_metric_families(text):
            of_all = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                of_all.add_sample(sample.name, {LABEL: node, **sample.labels}, sample.value)
    return generate_latest(cast("CollectorRegistry", _Collected(families.values())))


class _Collected:
    """Metrics in the form that `generate_latest` reads."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self._families

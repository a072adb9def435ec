"""Counters and histograms that one thread changes: they need no lock, which costs more than the addition."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class CounterCollector(Collector):
    """A metric that is a counter with labels. `name` is that of the metric without "_total"."""

    def __init__(self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name, self._text, self._labels = name, text, labels
        self.counts: Counter[tuple[str, ...]] = Counter()
        """By the values of the labels."""
        registry.register(self)

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Return the counts."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, number in list(self.counts.items()):
            family.add_metric(values, number)
        yield family


class Histogram:
    """How many durations were observed up to each upper bound, and their sum, in seconds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By the smallest bound that is not exceeded; the last count is of those beyond all bounds."""
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return the number up to each bound."""
        return list(zip(map(floatToGoString, (*self.bounds, float("inf"))), accumulate(self.counts), strict=True))


class HistogramCollector(Collector):
    """A metric that is a histogram, with at most one label."""

    def __init__(
        self, name: str, text: str, bounds: Sequence[float], registry: CollectorRegistry, label: str = ""
    ) -> None:
        self._name, self._text, self._bounds = name, text, bounds
        self._label_names = [label] if label else []
        self._of: dict[str, Histogram] = {} if label else {"": Histogram(bounds)}
        registry.register(self)

    def of(self, value: str = "") -> Histogram:
        """Return the durations with that value of the label."""
        found = self._of.get(value)
        if found is None:
            found = self._of[value] = Histogram(self._bounds)
        return found

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Return the durations by bucket."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._label_names)
        for value, seconds in list(self._of.items()):
            family.add_metric([value] if self._label_names else [], seconds.buckets(), seconds.total)
        yield family

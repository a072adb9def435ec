"""Histograms of the time that a step takes."""

from prometheus_client import CollectorRegistry

from relay.metrics.collectors import HistogramCollector

_ATTEMPTS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

_RENDERINGS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

_STORE = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15)
"""Seconds: upper bounds of the buckets."""


class Durations:
    """Seconds of delivery attempts, renderings, and of transactions of the store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempt = HistogramCollector(
            "relay_delivery_attempt_seconds",
            "From the start of an attempt to its outcome, with the wait for a connection",
            _ATTEMPTS,
            registry,
            "provider",
        )
        self.render = HistogramCollector(
            "relay_render_seconds", "From the request for a rendering to it", _RENDERINGS, registry
        ).of()
        store = HistogramCollector(
            "relay_store_seconds",
            "Transactions of the store, with the wait for its thread",
            _STORE,
            registry,
            "operation",
        )
        self.commit, self.read = store.of("commit"), store.of("read")

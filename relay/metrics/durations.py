"""Histograms of the time that a step takes."""

from prometheus_client import CollectorRegistry, Histogram

_ATTEMPTS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

_RENDERINGS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

_STORE = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15)
"""Seconds: upper bounds of the buckets."""


class Durations:
    """Seconds of delivery attempts, renderings, and of transactions of the store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempt = Histogram(
            "relay_delivery_attempt_seconds",
            "From the start of an attempt to its outcome, with the wait for a connection",
            ("provider",),
            buckets=_ATTEMPTS,
            registry=registry,
        )
        self.render = Histogram(
            "relay_render_seconds", "From the request for a rendering to it", buckets=_RENDERINGS, registry=registry
        )
        store = Histogram(
            "relay_store_seconds",
            "Transactions of the store, with the wait for its thread",
            ("operation",),
            buckets=_STORE,
            registry=registry,
        )
        self.commit, self.read = store.labels("commit"), store.labels("read")

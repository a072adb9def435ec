"""Prometheus metrics."""

from relay.metrics.queue_figures import QueueFigures
from relay.metrics.registry import CONTENT_TYPE, Metrics
from relay.metrics.site_figures import MAX_SITES, SiteFigures

__all__ = ["CONTENT_TYPE", "MAX_SITES", "Metrics", "QueueFigures", "SiteFigures"]

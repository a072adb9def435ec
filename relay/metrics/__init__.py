"""Prometheus metrics, and the counters of the last hour for the dashboard."""

from relay.metrics.hourly_counts import MINUTES, HourlyCounts
from relay.metrics.queue_figures import QueueFigures
from relay.metrics.registry import CONTENT_TYPE, Metrics
from relay.metrics.site_figures import MOST_SITES, SiteFigures

__all__ = ["CONTENT_TYPE", "MINUTES", "MOST_SITES", "HourlyCounts", "Metrics", "QueueFigures", "SiteFigures"]

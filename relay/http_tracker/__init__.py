"""The HTTP server behind pixels, links and unsubscribe buttons."""

from relay.http_tracker.connections import Limits
from relay.http_tracker.tracker import Tracker

__all__ = ["Limits", "Tracker"]

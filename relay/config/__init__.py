"""Configuration: reads TOML into frozen settings, and reports all faults at once with file, line and allowed values."""

from relay.config.errors import ConfigError, Fault
from relay.config.load import check, load
from relay.config.settings import Settings

__all__ = ["ConfigError", "Fault", "Settings", "check", "load"]

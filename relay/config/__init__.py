"""Configuration: TOML in, frozen settings out; every fault at once with file, line and what would be right."""

from relay.config.errors import ConfigError, Fault
from relay.config.load import check, load
from relay.config.settings import Settings

__all__ = ["ConfigError", "Fault", "Settings", "check", "load"]

"""relay: an SMTP relay that tracks, signs, limits, retries and reports on every message."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("trackrelay")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"

"""relay: an SMTP relay that tracks, signs, limits, retries and reports on every message."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> str:
    """Return `__version__`. Looking it up imports much, which a renderer does not need."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("trackrelay")
    except PackageNotFoundError:  # Run from a source tree that was never installed.
        return "0+unknown"

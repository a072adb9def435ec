"""What this version understands and does not carry out: said aloud, so that nobody relies on it. Pure."""

from collections.abc import Iterator

from relay.config.faults import Finding
from relay.config.settings import Settings

_TEXT = "has no effect in this version"


def pending(settings: Settings) -> Iterator[Finding]:
    """Yield every key that is set, and that nothing reads yet."""
    if settings.admin.address:
        yield Finding(("admin", "address"), _TEXT)

"""What this version understands and does not carry out: said aloud, so that nobody relies on it. Pure."""

from collections.abc import Iterator

from relay.config.faults import Finding
from relay.config.positions import KeyPath
from relay.config.section import Section
from relay.config.settings import Defaults, Identity, Settings

OF_IDENTITIES = ("reply_to", "reply_tracking", "forward_to", "bcc")
OF_DOMAINS = ("fallback_providers", "reply_domain", "exclusion", "bcc")
_TEXT = "has no effect in this version"


def pending(settings: Settings) -> Iterator[Finding]:
    """Yield every key that is set, and that nothing reads yet."""
    yield from _set(("defaults",), settings.defaults, Defaults(), OF_DOMAINS)
    for name, domain in settings.domains.items():
        yield from _set(("domains", name), domain, settings.defaults, OF_DOMAINS)
    for address, identity in settings.identities.items():
        inherited = Identity(bcc=settings.domain_for(address).bcc)
        yield from _set(("identities", address), identity, inherited, OF_IDENTITIES)
    if settings.admin.address:
        yield Finding(("admin", "address"), _TEXT)


def _set(path: KeyPath, table: Section, otherwise: Section, keys: tuple[str, ...]) -> Iterator[Finding]:
    for key in keys:
        if getattr(table, key) != getattr(otherwise, key):
            yield Finding((*path, key), _TEXT)

"""Keys under watch over a real store, for tests of what works with them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from relay.config.settings import Settings
from relay.domains.relay_keys import Keys
from relay.domains.signing_keys import SigningKeys
from relay.resolver import Resolver
from relay.rewrite.tokens import Keyring
from relay.storage.database import Database
from relay.storage.domains import DomainWatchTable


@dataclass(slots=True)
class SigningHarness:
    """A `SigningKeys`, the keys it had used, and what it logged and told the operator."""

    database: Database
    settings: Settings
    clock: Callable[[], float]
    keys: Keys = field(default_factory=lambda: Keys(Keyring((("k1", bytes(32)),))))
    used: list[Keys] = field(default_factory=list)
    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    alerts: list[tuple[str, str, str]] = field(default_factory=list)

    def build(self) -> SigningKeys:
        """Return it; `start` it."""
        return SigningKeys(
            self.keys,
            settings=lambda: self.settings,
            store=DomainWatchTable(self.database),
            resolver=lambda: Resolver(self.settings.resolver.endpoints),
            use=self.used.append,
            clock=self.clock,
            jitter=lambda: 0.0,
            log=lambda line, **fields: self.lines.append((line, fields)),
            alert=lambda *told: self.alerts.append(told),
        )

"""The keys in use: which there are, which of them sign, and how the next one comes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from relay.clock import Clock
from relay.config.settings import Settings
from relay.domains.key_files import load_keys, replace_key
from relay.domains.key_rotation import next_selector
from relay.domains.keys import Keys
from relay.domains.ports import DomainWatchStore
from relay.domains.records import sending_domain
from relay.domains.watcher import DomainWatcher, WatchTools
from relay.log import Emit
from relay.mailauth.dkim_keys import Algorithm, SigningKey, dns_record, generate_key, load_key, record_name
from relay.resolver import Lookups
from relay.rewrite.tokens import Keyring


@dataclass(frozen=True, slots=True)
class SigningTools:
    """What the keys are kept with."""

    settings: Callable[[], Settings]
    store: DomainWatchStore
    resolver: Callable[[], Lookups]
    """Makes a resolver that remembers no answers."""
    use: Callable[[Keys], None]
    """Renders with these keys from now on."""
    clock: Clock
    jitter: Callable[[], float]
    log: Emit
    alert: Callable[[str, str, str], None] = lambda cause, subject, text: None  # noqa: ARG005
    """Tells the operator: cause, subject, text."""


class SigningKeys:
    """Holds every key; the watch over the domains says which of them sign."""

    def __init__(self, tools: SigningTools, keys: Keys) -> None:
        self._tools = tools
        self.keys = keys
        """Every key there is."""
        self.watch = DomainWatcher(
            WatchTools(
                settings=tools.settings,
                dkim=lambda: self.keys.dkim,
                store=tools.store,
                resolver=tools.resolver,
                use=lambda: tools.use(self.in_force()),
                clock=tools.clock,
                jitter=tools.jitter,
                log=tools.log,
                alert=tools.alert,
            )
        )
        self._rotating = asyncio.Lock()

    def keyring(self) -> Keyring:
        """Return the keys of links and signed addresses."""
        return self.keys.tokens

    def in_force(self) -> Keys:
        """Return the keys that links and signatures are made with."""
        return replace(self.keys, dkim=self.watch.signing(self.keys.dkim))

    async def start(self) -> None:
        """Learn which keys sign; none has to be asked of DNS for that."""
        await self.watch.take(self._tools.settings(), self.keys.dkim)

    async def switch(self, settings: Settings, keys: Keys) -> None:
        """Use these keys from now on, as far as they sign."""
        await self.watch.take(settings, keys.dkim)
        self.keys = keys
        self._tools.use(self.in_force())

    def published_at(self, domain: str, selector: str) -> str:
        """Return the name whose TXT record publishes a key: in the domain's zone, or in the operator's it points to."""
        about = sending_domain(self._tools.settings(), domain, ())
        name = record_name(selector, domain)
        return about.target(name) if about.delegates(name) else name

    async def rotate(self, domain: str, algorithm: Algorithm, bits: int) -> SigningKey:
        """Make the next key of a configured domain; it signs once DNS shows it.

        Raises RotationError when there is no selector for it, OSError when it cannot be written.
        """
        async with self._rotating:
            settings = self._tools.settings()
            watched = self.watch.find(domain)
            known = watched.keys if watched else ()
            kind = algorithm.removesuffix("-sha256")
            selector = next_selector(settings.domains[domain].dkim.selectors, known, kind, self._tools.clock())
            pem = await asyncio.to_thread(generate_key, algorithm, bits)
            await asyncio.to_thread(replace_key, settings.server.data_dir, domain, selector, pem)
            await self.switch(settings, await asyncio.to_thread(load_keys, settings, self._tools.log))
            made = load_key(pem, domain, selector)
            self._tools.log("keys.rotating", domain=domain, selector=selector, record=dns_record(made))
            return made

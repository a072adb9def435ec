"""Manages the keys in use: loading, replacing, rotation."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from relay.clock import Clock
from relay.config.settings import Settings
from relay.domains.dev_keys import DevKeys
from relay.domains.key_files import load_keys, replace_key
from relay.domains.key_rotation import next_selector
from relay.domains.ports import DomainWatchStore
from relay.domains.records import sending_domain
from relay.domains.relay_keys import Keys
from relay.domains.watcher import DomainWatcher
from relay.log import Emit
from relay.mailauth.dkim_keys import Algorithm, SigningKey, dns_record, generate_key, load_key, record_name
from relay.resolver import Lookups
from relay.rewrite.tokens import Keyring


class SigningKeys:
    """Manages all keys; the domain watcher decides which of them sign.

    `use` passes other keys to the renderer. `resolver` creates a resolver with an empty cache. `alert` sends cause,
    subject and text to the operator.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        settings: Callable[[], Settings],
        store: DomainWatchStore,
        resolver: Callable[[], Lookups],
        use: Callable[[Keys], None],
        clock: Clock,
        jitter: Callable[[], float],
        log: Emit,
        alert: Callable[[str, str, str], None] = lambda cause, subject, text: None,  # noqa: ARG005
    ) -> None:
        self._settings = settings
        self._use = use
        self._clock = clock
        self._log = log
        self.keys = keys
        """All keys."""
        self.watch = DomainWatcher(
            settings=settings,
            dkim=lambda: self.keys.dkim,
            store=store,
            resolver=resolver,
            use=lambda: use(self.in_force()),
            clock=clock,
            jitter=jitter,
            log=log,
            alert=alert,
        )
        self._rotating = asyncio.Lock()
        self._every: DevKeys | None = None

    def keyring(self) -> Keyring:
        """Return the keys of links and signed addresses."""
        return self.keys.tokens

    def in_force(self) -> Keys:
        """Return the keys for links and signatures."""
        dkim = self.watch.signing(self.keys.dkim)
        if not self._settings().signs_for_all:
            return replace(self.keys, dkim=dkim)
        if self._every is None:  # It is empty by its length.
            self._every = DevKeys()
        return replace(self.keys, dkim=self._every)

    async def start(self) -> None:
        """Load the signing state of the keys from the store."""
        await self.watch.configure(self._settings(), self.keys.dkim)

    async def switch(self, settings: Settings, keys: Keys) -> None:
        """Replace all keys, and use those that sign."""
        await self.watch.configure(settings, keys.dkim)
        self.keys = keys
        self._use(self.in_force())

    def published_at(self, domain: str, selector: str) -> str:
        """Return the name of the TXT record of a key: in the zone of the domain, or the target of its CNAME."""
        about = sending_domain(self._settings(), domain, ())
        name = record_name(selector, domain)
        return about.target(name) if about.delegates(name) else name

    async def rotate(self, domain: str, algorithm: Algorithm, bits: int) -> SigningKey:
        """Generate the next key of a configured domain; it signs after DNS has its record.

        Raises RotationError when there is no free selector, OSError when the key file cannot be written.
        """
        async with self._rotating:
            settings = self._settings()
            watched = self.watch.find(domain)
            known = watched.keys if watched else ()
            kind = algorithm.removesuffix("-sha256")
            selector = next_selector(settings.domains[domain].dkim.selectors, known, kind, self._clock())
            pem = await asyncio.to_thread(generate_key, algorithm, bits)
            await asyncio.to_thread(replace_key, settings.server.data_dir, domain, selector, pem)
            await self.switch(settings, await asyncio.to_thread(load_keys, settings, self._log))
            made = load_key(pem, domain, selector)
            self._log("keys.rotating", domain=domain, selector=selector, record=dns_record(made))
            return made

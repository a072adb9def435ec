"""The watch over the sending domains: their DNS is looked at again and again, and decides which keys sign."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from relay.clock import Clock
from relay.config.settings import Settings
from relay.domains.check import check
from relay.domains.key_rotation import observe_keys
from relay.domains.ports import DomainWatchStore
from relay.domains.records import DkimKey, SendingDomain, records, sending_domain
from relay.domains.status import Change, ConfiguredDomain, DomainStatus, after_check, changes, fingerprint, set_up
from relay.events.ports import StoreError
from relay.log import Emit
from relay.mailauth.dkim_keys import SigningKey, dns_record
from relay.resolver import Lookups

ROUND = 30.0
"""Seconds between two rounds: what is due is looked at, and what other processes found is taken over."""


LEASE = 600.0
"""Seconds that a look may take before another process takes it over."""


LONGEST_LOOK = 300.0
"""Seconds after which a look at one domain is given up, to be taken again when its lease ends."""


AT_ONCE = 4
"""Domains looked at at a time."""


Dkim = Mapping[str, tuple[SigningKey, ...]]
"""Signing keys by domain, in the order of its selectors."""


class DomainWatcher:
    """Checks the DNS of the configured domains in the background, and decides which of their keys sign.

    `dkim` returns all keys. `resolver` makes a resolver with an empty cache. `use` is called after the signing keys
    changed. `alert` sends cause, subject and text to the operator.
    """

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        dkim: Callable[[], Dkim],
        store: DomainWatchStore,
        resolver: Callable[[], Lookups],
        use: Callable[[], None],
        clock: Clock,
        jitter: Callable[[], float],
        log: Emit,
        alert: Callable[[str, str, str], None] = lambda cause, subject, text: None,  # noqa: ARG005
    ) -> None:
        self._settings = settings
        self._dkim = dkim
        self._store = store
        self._resolver = resolver
        self._use = use
        self._clock = clock
        self._jitter = jitter
        self._log = log
        self._alert = alert
        self._known: dict[str, DomainStatus] = {}
        self._untold = False
        self._wake = asyncio.Event()

    async def take(self, settings: Settings, dkim: Dkim) -> None:
        """Take the domains of these settings under watch, with these keys. A store that is away is told later."""
        domains = [_set_up_of(settings, name, dkim) for name in settings.domains]
        now = self._clock()
        try:
            watched = await self._store.watch_domains(domains, now)
            self._untold = False
        except StoreError:
            watched = [set_up(self._known.get(one.domain), one, now) for one in domains]
            self._untold = True
        self._known = {one.domain: one for one in watched}
        self._wake.set()

    def signing(self, dkim: Dkim) -> Dkim:
        """Return those of the keys that sign: of each kind of a domain's keys one."""
        return {name: _in_force(self._known.get(name), keys) for name, keys in dkim.items()}

    def watched(self) -> Sequence[DomainStatus]:
        """Return how the configured domains stand, by name."""
        return [self._known[name] for name in sorted(self._known)]

    def find(self, domain: str) -> DomainStatus | None:
        """Return how a configured domain stands, None when it is not configured."""
        return self._known.get(domain)

    async def look_soon(self, domain: str) -> bool:
        """Look at a domain now; tell whether it is under watch. Raises StoreError."""
        found = await self._store.schedule_check(domain, self._clock())
        self._wake.set()
        return found

    async def run(self) -> None:
        """Make rounds until cancelled; a store in trouble is asked again in the next one."""
        while True:
            self._wake.clear()
            with suppress(StoreError):
                await self.round()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), ROUND)

    async def round(self) -> None:
        """Take over what others found, and look at what is due. Raises StoreError."""
        if self._untold:
            await self.take(self._settings(), self._dkim())
        before = self.signing(self._dkim())
        found = {one.domain: one for one in await self._store.watched_domains()}
        self._known = {name: found.get(name, one) for name, one in self._known.items()}
        now = self._clock()
        due = await self._store.claim_domains(tuple(self._known), now, now + LEASE)
        places = asyncio.Semaphore(AT_ONCE)
        results = await asyncio.gather(*(self._look(one, places) for one in due), return_exceptions=True)
        if self.signing(self._dkim()) != before:
            self._use()
        for one, result in zip(due, results, strict=True):
            if isinstance(result, StoreError):
                raise result
            if isinstance(result, Exception):
                self._log("domain.watch_failed", domain=one.domain, error=repr(result))

    async def _look(self, before: DomainStatus, places: asyncio.Semaphore) -> None:
        settings, dkim = self._settings(), self._dkim()
        if before.domain not in settings.domains:
            return
        about = _sending_domain(settings, before.domain, dkim)
        dns = self._resolver()
        async with places, asyncio.timeout(LONGEST_LOOK):
            findings = await check(about, records(about), dns)
            observed = await observe_keys(dns, about.name, about.keys)
        after = after_check(before, findings, observed, self._clock(), self._jitter())
        if await self._store.save_check(after):
            self._known[after.domain] = after
            for change in changes(before, after, findings):
                self._tell(change)

    def _tell(self, change: Change) -> None:
        self._log(
            "domain.changed",
            domain=change.domain,
            record=change.record,
            was=change.was,
            now=change.now,
            text=change.text,
        )
        if not change.record and (change.was, change.now) == ("passing", "failing"):
            text = f"{change.text}\n\n`relay domain check {change.domain}` says what to do."
            self._alert(f"domain {change.domain}", f"the DNS of {change.domain} is not as it should be", text)


def default_signing_keys(keys: Sequence[SigningKey]) -> tuple[SigningKey, ...]:
    """Return the first key of each algorithm: what signs while nothing is known of DNS."""
    first = {key.algorithm: key for key in reversed(keys)}
    return tuple(key for key in keys if first[key.algorithm] is key)


def _in_force(watched: DomainStatus | None, keys: tuple[SigningKey, ...]) -> tuple[SigningKey, ...]:
    chosen = {key.selector for key in watched.keys if key.signing} if watched else set()
    return tuple(key for key in keys if key.selector in chosen) or default_signing_keys(keys)


def _sending_domain(settings: Settings, name: str, dkim: Dkim) -> SendingDomain:
    keys = [DkimKey(key.selector, dns_record(key)) for key in dkim.get(name, ())]
    return sending_domain(settings, name, keys)


def _set_up_of(settings: Settings, name: str, dkim: Dkim) -> ConfiguredDomain:
    about = _sending_domain(settings, name, dkim)
    return ConfiguredDomain(name, fingerprint(records(about)), about.keys)

"""Checks the DNS of sending domains periodically, and decides which keys sign."""

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
"""Seconds between two rounds: due domains are checked, and results of other processes loaded."""

LEASE = 600.0
"""Seconds of a lease; then another process checks the domain."""

CHECK_TIMEOUT = 300.0
"""Seconds after which a check is cancelled; it is repeated when its lease ends."""

MAX_CHECKS = 4
"""Maximum number of concurrent checks."""

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
        self._is_unsaved = False
        self._wake = asyncio.Event()

    async def configure(self, settings: Settings, dkim: Dkim) -> None:
        """Watch the domains of these settings with these keys. If the store fails, they are stored in a later round."""
        domains = [_configured(settings, name, dkim) for name in settings.domains]
        now = self._clock()
        try:
            watched = await self._store.watch_domains(domains, now)
            self._is_unsaved = False
        except StoreError:
            watched = [set_up(self._known.get(one.domain), one, now) for one in domains]
            self._is_unsaved = True
        self._known = {one.domain: one for one in watched}
        self._wake.set()

    def signing(self, dkim: Dkim) -> Dkim:
        """Return the keys that sign: one of each type per domain."""
        return {name: _in_force(self._known.get(name), keys) for name, keys in dkim.items()}

    def watched(self) -> Sequence[DomainStatus]:
        """Return the status of the configured domains, by name."""
        return [self._known[name] for name in sorted(self._known)]

    def find(self, domain: str) -> DomainStatus | None:
        """Return the status of a domain, None if it is not configured."""
        return self._known.get(domain)

    async def schedule_check(self, domain: str) -> bool:
        """Check a domain now; False if it is not watched. Raises StoreError."""
        found = await self._store.schedule_check(domain, self._clock())
        self._wake.set()
        return found

    async def run(self) -> None:
        """Run rounds until cancelled; a StoreError ends a round, and the next one retries."""
        while True:
            self._wake.clear()
            with suppress(StoreError):
                await self.round()
            with suppress(TimeoutError):
                async with asyncio.timeout(ROUND):
                    await self._wake.wait()

    async def round(self) -> None:
        """Load results of other processes and check due domains. Raises StoreError."""
        if self._is_unsaved:
            await self.configure(self._settings(), self._dkim())

        before = self.signing(self._dkim())
        found = {one.domain: one for one in await self._store.watched_domains()}
        self._known = {name: found.get(name, one) for name, one in self._known.items()}
        now = self._clock()
        due = await self._store.claim_domains(tuple(self._known), now, now + LEASE)
        slots = asyncio.Semaphore(MAX_CHECKS)
        results = await asyncio.gather(*(self._check(one, slots) for one in due), return_exceptions=True)
        if self.signing(self._dkim()) != before:
            self._use()

        for one, result in zip(due, results, strict=True):
            if isinstance(result, StoreError):
                raise result
            if isinstance(result, Exception):
                self._log("domain.watch_failed", domain=one.domain, error=repr(result))

    async def _check(self, before: DomainStatus, slots: asyncio.Semaphore) -> None:
        settings, dkim = self._settings(), self._dkim()
        if before.domain not in settings.domains:
            return

        about = _sending_domain(settings, before.domain, dkim)
        dns = self._resolver()
        async with slots, asyncio.timeout(CHECK_TIMEOUT):
            findings = await check(about, records(about), dns)
            observed = await observe_keys(dns, about.name, about.keys)

        after = after_check(before, findings, observed, self._clock(), self._jitter())
        if await self._store.save_check(after):
            self._known[after.domain] = after
            for change in changes(before, after, findings):
                self._report(change)

    def _report(self, change: Change) -> None:
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
    """Return the first key of each algorithm: those that sign without a DNS result."""
    first = {key.algorithm: key for key in reversed(keys)}
    return tuple(key for key in keys if first[key.algorithm] is key)


def _in_force(watched: DomainStatus | None, keys: tuple[SigningKey, ...]) -> tuple[SigningKey, ...]:
    chosen = {key.selector for key in watched.keys if key.signing} if watched else set()
    return tuple(key for key in keys if key.selector in chosen) or default_signing_keys(keys)


def _sending_domain(settings: Settings, name: str, dkim: Dkim) -> SendingDomain:
    keys = [DkimKey(key.selector, dns_record(key)) for key in dkim.get(name, ())]
    return sending_domain(settings, name, keys)


def _configured(settings: Settings, name: str, dkim: Dkim) -> ConfiguredDomain:
    about = _sending_domain(settings, name, dkim)
    return ConfiguredDomain(name, fingerprint(records(about)), about.keys)

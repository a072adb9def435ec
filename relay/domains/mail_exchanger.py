"""Finds the mail exchanger of a domain: this relay, another server, or none (RFC 5321 section 5.1)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from relay.config.bind_addresses import inbound_addresses
from relay.config.settings import Settings
from relay.resolver import (
    Addresses,
    Hosts,
    IPAddress,
    Lookups,
    MxHost,
    NoRecords,
    NoSuchDomain,
    NullMx,
    TemporaryFailure,
)

ROUND = 300.0
"""Seconds between two look-ups of all domains."""

START_SECONDS = 3.0
"""Seconds that a start or reload waits for DNS. Until the first answer, mail for the domain is deferred."""

AT_ONCE = 20
"""Maximum number of concurrent look-ups."""


@dataclass(frozen=True, slots=True)
class MailExchanger:
    """The best mail exchanger of a domain: hosts of the lowest preference, and `why` it is not this relay."""

    kind: Literal["own", "other", "none", "unknown"]
    hosts: tuple[str, ...] = ()
    why: str = ""
    is_backup: bool = False
    """Whether another server is the best one, and relay accepts mail while that server is down."""

    @property
    def leads_here(self) -> bool:
        """Whether other servers send mail of the domain to this relay."""
        return self.kind == "own" or self.is_backup


UNKNOWN = MailExchanger("unknown", why="DNS was not asked yet")


async def find_mail_exchanger(dns: Lookups, settings: Settings, domain: str) -> MailExchanger:
    """Look up the mail exchanger of the lowest preference; a domain without MX is its own host.

    A host is this relay by its name or one of relay's addresses, if there is an inbound listener.
    """
    match await dns.mx(domain):
        case Hosts(hosts):
            best = [one for one in hosts if one.preference == min(each.preference for each in hosts)]
            found = await _classify(dns, settings, domain, best)
            rest = [one for one in hosts if one not in best]
            backup = found.kind != "own" and bool(rest) and (await _classify(dns, settings, domain, rest)).kind == "own"
            return replace(found, is_backup=backup)
        case NullMx():
            return MailExchanger("none", why=f"{domain} says that it takes no mail (null MX)")
        case NoSuchDomain():
            return MailExchanger("none", why=f"{domain} does not exist in DNS")
        case TemporaryFailure(text):
            return MailExchanger("unknown", why=f"DNS gives no answer for {domain}: {text}")
        case never:
            assert_never(never)


async def _classify(dns: Lookups, settings: Settings, domain: str, hosts: list[MxHost]) -> MailExchanger:
    """Return the mail exchanger that hosts of a domain are: this relay if one of them is."""
    names = tuple(one.name for one in hosts)
    if settings.takes_inbound and {settings.server.hostname, settings.helo_name} & set(names):
        return MailExchanger("own", names)
    answers = [await dns.addresses(name) for name in names]
    found = {address for answer in answers if isinstance(answer, Addresses) for address in answer.addresses}
    if settings.takes_inbound and found & await _own_addresses(dns, settings):
        return MailExchanger("own", names)
    if found:
        return MailExchanger("other", names)

    failure = next((one for one in answers if isinstance(one, TemporaryFailure)), None)
    if failure is not None:
        return MailExchanger("unknown", names, f"DNS gives no answer for {names[0]}: {failure.text}")
    if names == (domain,):
        return MailExchanger("none", why=f"{domain} has neither MX nor address records")
    return MailExchanger("none", names, f"the mail exchanger {names[0]} has no address")


async def _own_addresses(dns: Lookups, settings: Settings) -> set[IPAddress]:
    """Return the addresses of inbound listeners, and those of the host name in DNS."""
    own = inbound_addresses(settings)
    match await dns.addresses(settings.server.hostname):
        case Addresses(addresses):
            return {*own, *addresses}
        case NoSuchDomain() | NoRecords() | TemporaryFailure():
            return set(own)
        case never:
            assert_never(never)


class MailExchangers:
    """Cache of the mail exchangers of the domains at which this relay may have addresses.

    `resolver` creates a resolver without a cache, so that new records are found.
    """

    def __init__(self, settings: Callable[[], Settings], resolver: Callable[[], Lookups]) -> None:
        self._settings = settings
        self._resolver = resolver
        self._known: dict[str, MailExchanger] = {}

    def __call__(self, domain: str) -> MailExchanger:
        """Return the cached mail exchanger of a domain in canonical form."""
        return self._known.get(domain, UNKNOWN)

    async def ask(self, domain: str) -> MailExchanger:
        """Look up a domain now. A temporary failure does not replace a known answer."""
        found = await find_mail_exchanger(self._resolver(), self._settings(), domain)
        if found.kind != "unknown" or self(domain).kind == "unknown":
            self._known[domain] = found
        return found

    async def refresh(self) -> None:
        """Look up all domains of the settings, if there is an inbound listener."""
        at_once = asyncio.Semaphore(AT_ONCE)

        async def ask(domain: str) -> None:
            async with at_once:
                await self.ask(domain)

        settings = self._settings()
        domains = settings.mailbox_domains if settings.takes_inbound else ()
        self._known = {domain: one for domain, one in self._known.items() if domain in domains}
        await asyncio.gather(*map(ask, domains))

    async def refresh_soon(self) -> None:
        """Look up all domains, for at most START_SECONDS."""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self.refresh()

    async def run(self) -> None:
        """Look up all domains every ROUND seconds, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(ROUND)

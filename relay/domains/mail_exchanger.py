"""Where the mail of a domain goes: to this relay, to another server, or nowhere (RFC 5321 section 5.1)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, assert_never

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
"""Seconds that a start or a reload waits for DNS; until an answer came, mail for the domain is deferred."""


AT_ONCE = 20
"""Domains that are looked up at the same time."""


@dataclass(frozen=True, slots=True)
class MailExchanger:
    """The best mail exchanger of a domain; `hosts` are the names of that preference, `why` says what is missing."""

    kind: Literal["own", "other", "none", "unknown"]
    hosts: tuple[str, ...] = ()
    why: str = ""


UNKNOWN = MailExchanger("unknown", why="DNS was not asked yet")


async def find_mail_exchanger(dns: Lookups, settings: Settings, domain: str) -> MailExchanger:
    """Look up whose mail exchanger has the lowest preference; a domain without MX is its own host.

    A host is this relay by its name, or by an address of the relay. Without an inbound listener none is.
    """
    match await dns.mx(domain):
        case Hosts(hosts):
            best = [one for one in hosts if one.preference == min(each.preference for each in hosts)]
            return await _whose(dns, settings, domain, best)
        case NullMx():
            return MailExchanger("none", why=f"{domain} says that it takes no mail (null MX)")
        case NoSuchDomain():
            return MailExchanger("none", why=f"{domain} does not exist in DNS")
        case TemporaryFailure(text):
            return MailExchanger("unknown", why=f"DNS gives no answer for {domain}: {text}")
        case never:
            assert_never(never)


async def _whose(dns: Lookups, settings: Settings, domain: str, best: list[MxHost]) -> MailExchanger:
    names = tuple(one.name for one in best)
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
    """Return the addresses of inbound listeners, and those DNS has for the host name."""
    own = settings.inbound_addresses
    match await dns.addresses(settings.server.hostname):
        case Addresses(addresses):
            return {*own, *addresses}
        case NoSuchDomain() | NoRecords() | TemporaryFailure():
            return set(own)
        case never:
            assert_never(never)


class MailExchangers:
    """The mail exchangers of the domains at which this relay may have addresses, kept in memory.

    `resolver` makes one that remembers no answers: a record that was just published counts.
    """

    def __init__(self, settings: Callable[[], Settings], resolver: Callable[[], Lookups]) -> None:
        self._settings = settings
        self._resolver = resolver
        self._known: dict[str, MailExchanger] = {}

    def __call__(self, domain: str) -> MailExchanger:
        """Return the last answer for a domain in canonical form."""
        return self._known.get(domain, UNKNOWN)

    async def ask(self, domain: str) -> MailExchanger:
        """Look a domain up now; an answer that DNS does not give now does not replace a known one."""
        found = await find_mail_exchanger(self._resolver(), self._settings(), domain)
        if found.kind != "unknown" or self(domain).kind == "unknown":
            self._known[domain] = found
        return found

    async def refresh(self) -> None:
        """Look all domains of the settings up, if there is an inbound listener."""
        at_once = asyncio.Semaphore(AT_ONCE)

        async def ask(domain: str) -> None:
            async with at_once:
                await self.ask(domain)

        settings = self._settings()
        domains = settings.mailbox_domains if settings.takes_inbound else ()
        self._known = {domain: one for domain, one in self._known.items() if domain in domains}
        await asyncio.gather(*map(ask, domains))

    async def refresh_soon(self) -> None:
        """Look all domains up, as far as that takes no more than START_SECONDS."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.refresh(), START_SECONDS)

    async def run(self) -> None:
        """Look all domains up every ROUND seconds, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(ROUND)

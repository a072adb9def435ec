"""Reports identities whose replies are not delivered, by DNS; for commands that check the configuration."""

import asyncio
from collections.abc import Iterable

import click

from relay.config.settings import Settings
from relay.domains.mail_exchanger import UNKNOWN, MailExchanger, find_mail_exchanger
from relay.mail.canonical_address import domain_of
from relay.resolver import Resolver
from relay.verification.reply_delivery import answers_remark, needs_exchanger

SECONDS = 10.0
"""Seconds for all DNS lookups, at most."""


def warn_of_lost_replies(settings: Settings, addresses: Iterable[str]) -> int:
    """Print identities whose replies are lost or cannot be checked; return the number with a `forward_to`."""
    asked = [address for address in addresses if needs_exchanger(settings, address)]
    exchangers = asyncio.run(_exchangers(settings, {domain_of(address) for address in asked})) if asked else {}

    faults = 0
    for address in asked:
        remark = answers_remark(settings, address, exchangers.get(domain_of(address), UNKNOWN))
        forwards = bool(settings.identities[address].forward_to)
        is_fault = remark.status == "wrong" and forwards
        if remark.status == "wrong" or (remark.status == "warning" and forwards):
            lead = "" if is_fault else "warning: "
            click.echo(f'{lead}identities."{address}": {remark.text}; {remark.fix}', err=True)
        faults += is_fault
    return faults


async def _exchangers(settings: Settings, domains: Iterable[str]) -> dict[str, MailExchanger]:
    dns = Resolver(settings.resolver.endpoints)
    found: dict[str, MailExchanger] = {}

    async def ask(domain: str) -> None:
        found[domain] = await find_mail_exchanger(dns, settings, domain)

    asking = [asyncio.ensure_future(ask(domain)) for domain in domains]
    await asyncio.wait(asking, timeout=SECONDS)
    for one in asking:
        one.cancel()
    return found

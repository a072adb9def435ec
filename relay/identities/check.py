"""A sending domain held against DNS: what is wanted, what is there, what to do."""

import asyncio
from collections.abc import Sequence
from typing import assert_never

from relay.identities.check_hosts import check_alias, check_exchanger, check_relay_host, check_tracking
from relay.identities.check_texts import check_dmarc, check_key, check_spf
from relay.identities.finding import Finding
from relay.identities.lookup import Lookups
from relay.identities.records import WantedRecord, remarks
from relay.identities.sending_domain import SendingDomain
from relay.resolver import Addresses, IPAddress, NoRecords, NoSuchDomain, TemporaryFailure, Texts


async def check(domain: SendingDomain, wanted: Sequence[WantedRecord], dns: Lookups) -> tuple[Finding, ...]:
    """Compare every wanted record with what DNS shows; return a finding for each, in their order.

    Findings about the relay's host name and the settings follow. A domain that does not exist comes first, and then
    nothing is said of the records below it (RFC 8020). Whatever DNS does not answer is `unknown`, never wrong.
    """
    answer = await dns.addresses(domain.hostname)
    relay = answer.addresses if isinstance(answer, Addresses) else ()
    existence = await _existence(domain, dns)
    absent = any(finding.status == "wrong" for finding in existence)
    there = [one for one in wanted if not (absent and domain.owns(one.name))]
    about_records = await asyncio.gather(*(_checked(domain, one, wanted, dns, relay) for one in there))
    about_host = await check_relay_host(dns, domain)
    about_settings = (Finding(role, "warning", domain.name, "", "", (), text) for role, text in remarks(domain))
    return (*existence, *about_records, *about_host, *about_settings)


async def _existence(domain: SendingDomain, dns: Lookups) -> tuple[Finding, ...]:
    answer = await dns.txt(domain.name)
    match answer:
        case NoSuchDomain():
            text = f"{domain.name} does not exist in DNS: is it registered, and are its name servers entered there?"
            return (Finding("domain", "wrong", domain.name, "", "", (), text),)
        case TemporaryFailure(text):
            text = f"the name servers of {domain.name} give no answer ({text}): try again, then look after them"
            return (Finding("domain", "unknown", domain.name, "", "", (), text),)
        case Texts() | NoRecords():
            return ()
        case _:
            assert_never(answer)


async def _checked(
    domain: SendingDomain,
    wanted: WantedRecord,
    everything: Sequence[WantedRecord],
    dns: Lookups,
    relay: tuple[IPAddress, ...],
) -> Finding:
    match wanted.role, wanted.kind:
        case "tracking", _:
            return await check_tracking(dns, domain, wanted)
        case _, "CNAME":
            return await check_alias(dns, domain, wanted, everything)
        case _, "MX":
            return await check_exchanger(dns, domain, wanted)
        case "dkim", _:
            return await check_key(dns, domain, wanted)
        case "spf", _:
            return await check_spf(dns, domain, wanted, relay)
        case _:
            return await check_dmarc(dns, domain, wanted)

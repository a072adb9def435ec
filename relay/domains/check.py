"""Compares wanted DNS records with published ones."""

import asyncio
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import assert_never

from relay.domains.check_txt import check_dmarc, check_key, check_spf
from relay.domains.cname_chain import follow
from relay.domains.finding import Finding, found, missing, no_answer
from relay.domains.records import SendingDomain, WantedRecord, remarks
from relay.mailauth.dkim_record import same_key
from relay.resolver import (
    Addresses,
    Alias,
    Hosts,
    IPAddress,
    Lookups,
    Names,
    NoRecords,
    NoSuchDomain,
    NullMx,
    TemporaryFailure,
    Texts,
)

_PRIVATE_NETWORKS = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "::1", "fc00::/7", "fe80::/10"))
)


async def check(domain: SendingDomain, wanted: Sequence[WantedRecord], dns: Lookups) -> tuple[Finding, ...]:
    """Compare the wanted records with DNS; return a finding for each, in order.

    Findings about relay's host name and the settings follow. If the domain does not exist, the records below it are
    omitted (RFC 8020). A record without an answer is `unknown`, never wrong.
    """
    answer = await dns.addresses(domain.hostname)
    relay = answer.addresses if isinstance(answer, Addresses) else ()
    existence = await _existence(domain, dns)
    absent = any(finding.status == "wrong" for finding in existence)
    checkable = [one for one in wanted if not (absent and domain.owns(one.name))]
    about_records = await asyncio.gather(*(_check_record(domain, one, wanted, dns, relay) for one in checkable))
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


async def _check_record(
    domain: SendingDomain,
    wanted: WantedRecord,
    all_wanted: Sequence[WantedRecord],
    dns: Lookups,
    relay: tuple[IPAddress, ...],
) -> Finding:
    match wanted.role, wanted.kind:
        case "tracking", _:
            return await check_tracking(dns, domain, wanted)
        case _, "CNAME":
            return await check_alias(dns, domain, wanted, all_wanted)
        case _, "MX":
            return await check_exchanger(dns, domain, wanted)
        case "dkim", _:
            return await check_key(dns, domain, wanted)
        case "spf", _:
            return await check_spf(dns, domain, wanted, relay)
        case _:
            return await check_dmarc(dns, domain, wanted)


async def check_alias(
    dns: Lookups, domain: SendingDomain, wanted: WantedRecord, all_wanted: Iterable[WantedRecord]
) -> Finding:
    """Check a CNAME, which may lead to its target through other aliases."""
    chain = await follow(dns, wanted.name)
    if isinstance(chain, TemporaryFailure):
        return no_answer(wanted, chain)
    if not chain.names:
        return await _no_alias(dns, domain, wanted, all_wanted)
    if wanted.value in chain.names and not chain.endless:
        over = "" if chain.names[0] == wanted.value else f" over {chain}"
        return found(wanted, "ok", chain.names, f"points where it should{over}")
    if chain.endless:
        text = f"its aliases go in a circle or never end ({chain}): point it at {wanted.value}"
    elif chain.names[0] == f"{wanted.value}.{domain.name}":
        first = f"it points to {chain.names[0]}: the DNS panel added the domain"
        text = f'{first}, so end the value with a dot ("{wanted.value}.")'
    else:
        text = f"it points to {chain.names[0]}: point it at {wanted.value}"

    return found(wanted, "wrong", chain.names, text)


async def check_exchanger(dns: Lookups, domain: SendingDomain, wanted: WantedRecord) -> Finding:
    """Check that relay is the only mail exchanger of a name."""
    answer = await dns.mx(wanted.name)
    match answer:
        case Hosts(hosts, implicit=False):
            observed = tuple(f"{host.preference} {host.name}" for host in hosts)
        case Hosts():
            return await missing(dns, domain.name, wanted, NoRecords())
        case NullMx():
            return found(wanted, "wrong", ("0 .",), f"it says that it takes no mail: replace it by MX {wanted.value}")
        case NoSuchDomain() | TemporaryFailure():
            return await missing(dns, domain.name, wanted, answer)
        case _:
            assert_never(answer)

    others = [host.name for host in hosts if host.name != domain.hostname]
    if len(others) == len(hosts):
        text = f"its mail goes to {', '.join(others)} and never reaches the relay: publish MX {wanted.value}"
        return found(wanted, "wrong", observed, text)
    if others:
        text = f"{', '.join(others)} takes its mail too, and what goes there is lost to the relay: remove it"
        return found(wanted, "warning", observed, text)

    return found(wanted, "ok", observed, "its mail comes to the relay")


async def check_tracking(dns: Lookups, domain: SendingDomain, wanted: WantedRecord) -> Finding:
    """Check that the tracking host resolves to relay: as an alias, or by the same addresses."""
    chain = await follow(dns, wanted.name)
    answer = await dns.addresses(wanted.name)
    if not isinstance(answer, Addresses):
        return await missing(dns, domain.name, wanted, answer)
    if isinstance(chain, TemporaryFailure):
        return no_answer(wanted, chain)

    observed = (*chain.names, *map(str, answer.addresses))
    if domain.hostname in chain.names:
        return found(wanted, "ok", observed, "readers reach the relay by it")

    relay = await dns.addresses(domain.hostname)
    if isinstance(relay, Addresses) and set(relay.addresses) & set(answer.addresses):
        return found(wanted, "ok", observed, "readers reach the relay by it, under its own addresses")

    where = chain.names[-1] if chain.names else str(answer.addresses[0])
    text = f"it leads to {where}, which is not {domain.hostname}: right only if that passes requests on to the tracker"
    return found(wanted, "warning", observed, text)


async def check_relay_host(dns: Lookups, domain: SendingDomain) -> tuple[Finding, ...]:
    """Check that relay's host name has addresses, whose reverse names are that name (RFC 1912 section 2.1)."""
    host = domain.hostname
    chain = await follow(dns, host)
    answer = await dns.addresses(host)
    match answer:
        case TemporaryFailure(text):
            text = f"DNS gives no answer now ({text}): try again"
            return (Finding("relay host", "unknown", host, "A", "", (), text),)
        case Addresses(addresses):
            observed = tuple(map(str, addresses))
        case NoSuchDomain() | NoRecords():
            text = f"{host} has no address, and the records here lead to it: give it one, or set server.hostname"
            return (Finding("relay host", "wrong", host, "A", "", (), text),)
        case _:
            assert_never(answer)

    private = [str(address) for address in addresses if _is_private(address)]
    if private:
        text = f"{', '.join(private)} cannot be reached from outside: publish the addresses the internet sees"
        return (Finding("relay host", "warning", host, "A", "", observed, text),)
    if not isinstance(chain, TemporaryFailure) and chain.names:
        text = f"{host} is an alias, which an MX record must not name (RFC 2181 section 10.3): give it addresses itself"
        return (Finding("relay host", "warning", host, "A", "", observed, text),)

    forward = Finding("relay host", "ok", host, "A", "", observed, "has its addresses")
    return (forward, *[await _check_reverse(dns, host, address) for address in addresses])


async def _check_reverse(dns: Lookups, host: str, address: IPAddress) -> Finding:
    name = str(address)
    match await dns.ptr(address):
        case TemporaryFailure(text):
            return Finding(
                "relay host", "unknown", name, "PTR", host, (), f"DNS gives no answer now ({text}): try again"
            )
        case Names(names) if host in names:
            return Finding("relay host", "ok", name, "PTR", host, names, "the address has the relay's name")
        case Names(names):
            text = f"the address is called {', '.join(names)}: have its provider set the reverse name to {host}"
            return Finding("relay host", "warning", name, "PTR", host, names, text)
        case NoSuchDomain() | NoRecords():
            text = f"the address has no name, and many servers refuse such: have its provider set it to {host}"
            return Finding("relay host", "warning", name, "PTR", host, (), text)
        case never:
            assert_never(never)


async def _no_alias(
    dns: Lookups, domain: SendingDomain, wanted: WantedRecord, all_wanted: Iterable[WantedRecord]
) -> Finding:
    """Explain a missing alias: the name may have the right key, or other records."""
    key = next((one.value for one in all_wanted if (one.name, one.kind) == (wanted.value, "TXT")), "")
    texts, hosts = await dns.txt(wanted.name), await dns.mx(wanted.name)
    observed = texts.texts if isinstance(texts, Texts) else ()
    if wanted.role == "dkim" and any(same_key(text, key) for text in observed):
        text = f"it holds the key itself: right until the key changes; better an alias of {wanted.value}"
        return found(wanted, "warning", observed, text)
    if isinstance(hosts, Hosts) and not hosts.implicit:
        observed = (*(f"MX {host.preference} {host.name}" for host in hosts.hosts), *observed)
    if observed:
        text = f"it has records of its own, and an alias must stand alone: replace them by a CNAME to {wanted.value}"
        return found(wanted, "wrong", observed, text)

    alias = await dns.cname(wanted.name)
    return await missing(dns, domain.name, wanted, NoRecords() if isinstance(alias, Alias) else alias)


def _is_private(address: IPAddress) -> bool:
    return any(address.version == network.version and address in network for network in _PRIVATE_NETWORKS)

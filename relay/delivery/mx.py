"""MX selection, loop and private-address checks."""

import re
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from relay.mail.public_address import IPNetwork, is_blocked
from relay.mail.reply import Reply
from relay.queue.outcome import Deferred, Refused
from relay.resolver import (
    AddressAnswer,
    Addresses,
    Hosts,
    MxAnswer,
    MxHost,
    NoRecords,
    NoSuchDomain,
    NullMx,
    TemporaryFailure,
)

MAX_HOSTS = 5
"""Hosts that one attempt asks, at most. Hosts without a usable address and refused connections do not count."""

MAX_LOOKUPS = 20
"""Hosts whose addresses one attempt looks up, at most: a domain may list two hundred hosts."""

MAX_ADDRESSES_PER_HOST = 2
"""Addresses of one host that one attempt tries, at most."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address to try. `name` is the host name for TLS and the log, "" for an address literal."""

    name: str
    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        return f"{self.name}[{self.address}]:{self.port}"


def usable_hosts(domain: str, answer: MxAnswer, own_names: Collection[str]) -> tuple[MxHost, ...] | Deferred | Refused:
    """Return the hosts to look up, best preference first, or the outcome when the domain has no usable host."""
    match answer:
        case NullMx():
            return Refused(Reply(556, "5.1.10", f"{domain} does not accept mail (null MX)"))
        case NoSuchDomain():
            return Refused(Reply(550, "5.1.2", f"domain {domain} does not exist"))
        case TemporaryFailure(text):
            return Deferred(Reply(451, "4.4.3", text), lane_down=True)
        case Hosts(hosts, _):
            own = [host.preference for host in hosts if host.name in own_names]
            usable = tuple(host for host in hosts if not own or host.preference < min(own))
            if not usable:
                return Refused(Reply(550, "5.4.6", f"mail for {domain} loops back to this server"))
            return usable[:MAX_LOOKUPS]


def endpoints(
    domain: str,
    found: Sequence[tuple[MxHost, AddressAnswer]],
    port: int,
    allowed: Sequence[IPNetwork],
    own: Collection[IPv4Address | IPv6Address] = (),
) -> tuple[Endpoint, ...] | Deferred | Refused:
    """Return the addresses to try, or the outcome when there is none.

    `own` are the addresses at which this server itself listens on that port.
    """
    usable: list[Endpoint] = []
    for host, answer in found:
        if not isinstance(answer, Addresses) or not is_host_name(host.name):
            continue
        if any(address in own for address in answer.addresses):
            if not usable:
                return Refused(Reply(550, "5.4.6", f"mail for {domain} loops back to this server by {host.name}"))
            break
        allowed_ones = [address for address in answer.addresses if not is_blocked(address, allowed)]
        usable += [Endpoint(host.name, address, port) for address in allowed_ones[:MAX_ADDRESSES_PER_HOST]]
    return tuple(usable) or _no_endpoint(domain, found, allowed)


def literal_endpoints(
    address: IPv4Address | IPv6Address,
    port: int,
    allowed: Sequence[IPNetwork],
    own: Collection[IPv4Address | IPv6Address] = (),
) -> tuple[Endpoint, ...] | Refused:
    """Return the address of an address literal, or the refusal of a blocked address or of our own."""
    if address in own:
        return Refused(Reply(550, "5.4.6", f"mail for [{address}] loops back to this server"))
    if is_blocked(address, allowed):
        return _blocked(str(address))
    return (Endpoint("", address, port),)


def provider_endpoints(name: str, host: str, port: int, answer: AddressAnswer) -> tuple[Endpoint, ...] | Deferred:
    """Return the addresses of a provider. The operator chose it: no address is blocked, every failure is temporary."""
    match answer:
        case Addresses(addresses):
            tried = addresses[: 2 * MAX_ADDRESSES_PER_HOST]
            return tuple(Endpoint("" if host == str(address) else host, address, port) for address in tried)
        case TemporaryFailure(text):
            return Deferred(Reply(451, "4.4.3", f"provider {name}: {text}"), lane_down=True)
        case NoSuchDomain() | NoRecords():
            return Deferred(Reply(451, "4.4.4", f"provider {name}: host {host} has no address"), lane_down=True)


def failing_last(endpoints: Sequence[Endpoint], failing: Container[str]) -> tuple[Endpoint, ...]:
    """Return the endpoints with those that failed recently last."""
    return tuple(sorted(endpoints, key=lambda endpoint: str(endpoint) in failing))


def _no_endpoint(
    domain: str, found: Sequence[tuple[MxHost, AddressAnswer]], allowed: Sequence[IPNetwork]
) -> Deferred | Refused:
    for _, answer in found:
        if isinstance(answer, TemporaryFailure):
            return Deferred(Reply(451, "4.4.3", answer.text), lane_down=True)
    for host, answer in found:
        if isinstance(answer, Addresses):
            bad = next((address for address in answer.addresses if is_blocked(address, allowed)), None)
            if bad is not None:
                return _blocked(f"{host.name}[{bad}]")
    if [host.name for host, _ in found] == [domain]:
        return Refused(Reply(550, "5.4.4", f"domain {domain} has neither mail exchanger nor address"))
    return Refused(Reply(550, "5.4.4", f"no mail exchanger of {domain} has an address"))


def _blocked(where: str) -> Refused:
    return Refused(Reply(550, "5.4.4", f"mail is not delivered to {where}: not a public address"))


_LABEL = r"[^\x00-/:-@\[-^`{-\x7f](?:[^\x00-,./:-@\[-^`{-\x7f]{0,61}[^\x00-/:-@\[-^`{-\x7f])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NUMERIC = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)


def is_host_name(name: str) -> bool:
    """Whether this can be the name of a host or domain.

    An IP address in any spelling ("127.0.0.1", "127.1", "2130706433", "0x7f000001") is none. No top-level domain is a
    number (RFC 3696 section 2), and the C library would read it as an address.
    """
    name = name.removesuffix(".")
    return bool(_NAME.fullmatch(name)) and not _NUMERIC.fullmatch(name.rpartition(".")[2])

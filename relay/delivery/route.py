"""Where a domain's mail goes: from DNS answers to the addresses to try in order, or why there are none. Pure.

RFC 5321 section 5.1: hosts by preference, each with its addresses; hosts at and behind our own preference are left
out, so that mail does not travel in circles. Failures carry the replies DSNs quote (RFC 3463).
"""

from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from relay.delivery.guard import IPNetwork, is_forbidden
from relay.delivery.lane import is_host_name
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
MAX_ADDRESSES_OF_HOST = 2
"""Bounds of one attempt: a domain may list two hundred hosts that do not answer."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One address to try. `name` is the host's name for TLS and the log, "" for an address literal."""

    name: str
    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        return f"{self.name}[{self.address}]:{self.port}"


def hosts_to_ask(domain: str, answer: MxAnswer, own_names: Collection[str]) -> tuple[MxHost, ...] | Deferred | Refused:
    """Return the hosts whose addresses are needed, best first, or the outcome when no host takes the domain's mail."""
    match answer:
        case NullMx():
            return Refused(Reply(556, "5.1.10", f"{domain} does not accept mail (null MX)"))
        case NoSuchDomain():
            return Refused(Reply(550, "5.1.2", f"domain {domain} does not exist"))
        case TemporaryFailure(text):
            return Deferred(Reply(451, "4.4.3", text), lane_down=True)
        case Hosts(hosts, _):
            own = [host.preference for host in hosts if host.name in own_names]
            left = tuple(host for host in hosts if not own or host.preference < min(own))
            if not left:
                return Refused(Reply(550, "5.4.6", f"mail for {domain} loops back to this server"))
            return left[:MAX_HOSTS]


def hops(
    domain: str,
    found: Sequence[tuple[MxHost, AddressAnswer]],
    port: int,
    allowed: Sequence[IPNetwork],
    own: Collection[IPv4Address | IPv6Address] = (),
) -> tuple[Hop, ...] | Deferred | Refused:
    """Return the addresses to try, or the outcome when there is none to which mail may be delivered.

    `own` are the addresses at which this server itself would answer on that port.
    """
    usable: list[Hop] = []
    for host, answer in found:
        if not isinstance(answer, Addresses) or not is_host_name(host.name):
            continue
        if any(address in own for address in answer.addresses):
            if not usable:
                return Refused(Reply(550, "5.4.6", f"mail for {domain} loops back to this server by {host.name}"))
            break
        allowed_ones = [address for address in answer.addresses if not is_forbidden(address, allowed)]
        usable += [Hop(host.name, address, port) for address in allowed_ones[:MAX_ADDRESSES_OF_HOST]]
    return tuple(usable) or _why_none(domain, found, allowed)


def literal_hops(
    address: IPv4Address | IPv6Address,
    port: int,
    allowed: Sequence[IPNetwork],
    own: Collection[IPv4Address | IPv6Address] = (),
) -> tuple[Hop, ...] | Refused:
    """Return the one address of an address literal, or the refusal when it is forbidden or our own."""
    if address in own:
        return Refused(Reply(550, "5.4.6", f"mail for [{address}] loops back to this server"))
    if is_forbidden(address, allowed):
        return _forbidden(str(address))
    return (Hop("", address, port),)


def provider_hops(name: str, host: str, port: int, answer: AddressAnswer) -> tuple[Hop, ...] | Deferred:
    """Return the addresses of a provider. The operator chose it: every address is allowed, every failure temporary."""
    match answer:
        case Addresses(addresses):
            ways = addresses[: 2 * MAX_ADDRESSES_OF_HOST]
            return tuple(Hop("" if host == str(address) else host, address, port) for address in ways)
        case TemporaryFailure(text):
            return Deferred(Reply(451, "4.4.3", f"provider {name}: {text}"), lane_down=True)
        case NoSuchDomain() | NoRecords():
            return Deferred(Reply(451, "4.4.4", f"provider {name}: host {host} has no address"), lane_down=True)


def rested(ways: Sequence[Hop], failing: Container[Hop]) -> tuple[Hop, ...]:
    """Put the addresses that failed lately behind the others, else in the same order."""
    return tuple(sorted(ways, key=lambda hop: hop in failing))


def _why_none(
    domain: str, found: Sequence[tuple[MxHost, AddressAnswer]], allowed: Sequence[IPNetwork]
) -> Deferred | Refused:
    for _, answer in found:
        if isinstance(answer, TemporaryFailure):
            return Deferred(Reply(451, "4.4.3", answer.text), lane_down=True)
    for host, answer in found:
        if isinstance(answer, Addresses):
            bad = next((address for address in answer.addresses if is_forbidden(address, allowed)), None)
            if bad is not None:
                return _forbidden(f"{host.name}[{bad}]")
    if [host.name for host, _ in found] == [domain]:
        return Refused(Reply(550, "5.4.4", f"domain {domain} has neither mail exchanger nor address"))
    return Refused(Reply(550, "5.4.4", f"no mail exchanger of {domain} has an address"))


def _forbidden(where: str) -> Refused:
    return Refused(Reply(550, "5.4.4", f"mail is not delivered to {where}: not a public address"))

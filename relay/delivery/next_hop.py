"""Resolves a lane to the endpoints of its servers and the options of a connection."""

import asyncio
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import assert_never

from relay.config.settings import Provider, Settings
from relay.delivery import mx
from relay.delivery.connect import ConnectOptions, Credentials, Security, TlsContexts
from relay.delivery.mx import Endpoint, is_host_name
from relay.delivery.session import Timeouts
from relay.mail.lane import is_simulated
from relay.mail.reply import Reply
from relay.queue.outcome import Deferred, Refused
from relay.resolver import AddressAnswer, Addresses, Hosts, MxAnswer, MxHost, NoRecords, NoSuchDomain, Resolver


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain whose MX hosts are asked of DNS."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """An address literal (RFC 5321 section 4.1.3): delivered to that address."""

    address: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider, by its name in the settings."""

    name: str


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The receiver inside the relay, by the word of the lane."""

    word: str


@lru_cache(maxsize=1024)
def parse_lane(lane: str) -> Domain | Literal | Upstream | BuiltIn | Reply:
    """Return the target of a lane, or the reply of the permanent failure for a malformed one."""
    kind, _, name = lane.partition(":")
    if is_simulated(lane):
        return BuiltIn(name)
    if kind == "provider":
        return Upstream(name)
    if name.startswith("[") and name.endswith("]"):
        literal = name[1:-1]
        if literal[:5].lower() == "ipv6:":
            literal = literal[5:]
        try:
            return Literal(ip_address(literal))
        except ValueError:
            return Reply(550, "5.1.2", f"{name} is not an address literal this server can deliver to")

    if not is_host_name(name):
        return Reply(550, "5.1.2", f"{name} is not a domain name")
    return Domain(name.rstrip("."))


Target = Domain | Literal | Upstream | BuiltIn

_RECEIVER = IPv4Address("127.0.0.1")
"""What stands for the address of the receiver inside the relay. Nothing connects to it."""

_LOCALHOST = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

_FOR_MX = {"opportunistic": Security.OPPORTUNISTIC, "require": Security.REQUIRED, "none": Security.NONE}
_FOR_PROVIDER = {"starttls": Security.REQUIRED, "implicit": Security.IMPLICIT, "none": Security.NONE}
"""Security for each value of `tls`."""


class NextHopResolver:
    """Resolves targets by the settings and by DNS."""

    def __init__(self, settings: Settings, resolver: Resolver, tls_contexts: TlsContexts) -> None:
        self.settings = settings
        self._resolver = resolver
        self._tls_contexts = tls_contexts

    def connections(self, target: Target) -> int:
        """Return the connections that the lane may have."""
        provider = self.settings.provider(target.name) if isinstance(target, Upstream) else None
        own = provider.connections if provider else 0
        return own or self.settings.delivery.connections_per_lane

    async def endpoints(self, target: Target) -> tuple[Endpoint, ...] | Deferred | Refused:
        """Return the addresses to try in order, or the outcome when there is none."""
        match target:
            case Domain(name):
                return await self._domain_endpoints(name)
            case Literal(address):
                own = self._own_addresses((address,))
                delivery = self.settings.delivery
                return mx.literal_endpoints(address, delivery.port, delivery.allow_networks, own)
            case Upstream(name):
                provider = self.settings.provider(name)
                if provider is None:
                    return _unknown(name)
                addresses = await self._provider_addresses(provider.host)
                return mx.provider_endpoints(name, provider.host, provider.port, addresses)
            case BuiltIn(word):
                return (Endpoint(f"{word}.simulator", _RECEIVER, 25),)
            case _:
                assert_never(target)

    def token_user(self, target: Target) -> str:
        """Return the user name with which a token is sent, "" for a target without OAuth2."""
        provider = self.settings.provider(target.name) if isinstance(target, Upstream) else None
        return provider.username if provider is not None and provider.oauth is not None else ""

    def security(self, target: Target) -> Security:
        """Return when a connection to the target is encrypted."""
        if isinstance(target, BuiltIn):
            return Security.REQUIRED if target.word == "tls" else Security.OPPORTUNISTIC
        provider = self.settings.provider(target.name) if isinstance(target, Upstream) else None
        return _FOR_PROVIDER[provider.tls] if provider else _FOR_MX[self.settings.delivery.tls]

    def connect_options(self, target: Target, endpoint: Endpoint) -> ConnectOptions:
        """Return the options of a connection to this endpoint."""
        delivery = self.settings.delivery
        provider = self.settings.provider(target.name) if isinstance(target, Upstream) else None
        security = self.security(target)
        verify = provider is not None and not endpoint.address.is_loopback
        context = self._tls_contexts.verified if verify else self._tls_contexts.unverified
        return ConnectOptions(
            helo=self.settings.helo_name,
            security=security,
            context=None if security is Security.NONE else context,
            timeouts=Timeouts(delivery.command_timeout, delivery.data_timeout, delivery.transaction_timeout),
            connect_timeout=delivery.connect_timeout,
            credentials=_credentials(provider),
        )

    async def _domain_endpoints(self, domain: str) -> tuple[Endpoint, ...] | Deferred | Refused:
        delivery = self.settings.delivery
        answer = await self._resolver.mx(domain)
        names = (self.settings.server.hostname, self.settings.helo_name)
        is_inbound = self._is_inbound(domain) or (self._has_mailboxes(domain) and _best_is(answer, names))
        hosts = mx.usable_hosts(domain, answer, () if is_inbound else names)
        if isinstance(hosts, Deferred | Refused):
            return hosts

        found = tuple(zip(hosts, await asyncio.gather(*map(self._host_addresses, hosts)), strict=True))
        best = found[0][1]
        if not is_inbound and self._has_mailboxes(domain) and isinstance(best, Addresses):
            not_inbound = self._own_addresses(best.addresses, is_inbound=True)
            is_inbound = bool(self._own_addresses(best.addresses) - not_inbound)

        addresses = [address for _, answer in found if isinstance(answer, Addresses) for address in answer.addresses]
        own = self._own_addresses(addresses, is_inbound=is_inbound)
        return mx.endpoints(domain, found, delivery.port, delivery.allow_networks, own)

    async def _host_addresses(self, host: MxHost) -> AddressAnswer:
        if not is_host_name(host.name):
            return NoSuchDomain()
        return await self._resolver.addresses(host.name, ipv6=self.settings.delivery.ipv6)

    async def _provider_addresses(self, host: str) -> AddressAnswer:
        """Look up a provider: an address, localhost, DNS, and last the resolver of the system (`/etc/hosts`)."""
        try:
            return Addresses((ip_address(host),))
        except ValueError:
            pass
        if host.lower() == "localhost":
            return Addresses(_LOCALHOST)
        answer = await self._resolver.addresses(host, ipv6=self.settings.delivery.ipv6)
        return await _system_addresses(host) if isinstance(answer, NoSuchDomain | NoRecords) else answer

    def _is_inbound(self, domain: str) -> bool:
        """Whether mail of the domain is for our inbound listeners: replies and bounces are no mail loop."""
        return self.settings.takes_inbound and domain in self.settings.return_domains

    def _has_mailboxes(self, domain: str) -> bool:
        """Whether inbound listeners accept mail for the domain when this server is its best mail exchanger."""
        return self.settings.takes_inbound and domain in self.settings.mailbox_domains

    def _own_addresses(
        self, addresses: Iterable[IPv4Address | IPv6Address], *, is_inbound: bool = False
    ) -> set[IPv4Address | IPv6Address]:
        """Return the addresses at which this server itself listens on the port of MX delivery.

        Inbound listeners do not count for mail that `is_inbound`.
        """
        listeners = [one for one in self.settings.listeners if not (is_inbound and one.kind == "inbound")]
        hosts = {listener.host for listener in listeners if listener.port == self.settings.delivery.port}
        if not hosts:
            return set()
        anywhere = not hosts.isdisjoint({"0.0.0.0", "::"})  # noqa: S104  compared, not bound
        return {a for a in addresses if str(a) in hosts or (anywhere and _is_local(str(a)))}


def _best_is(answer: MxAnswer, names: Collection[str]) -> bool:
    """Whether the mail exchanger with the lowest preference has one of the names."""
    return isinstance(answer, Hosts) and answer.hosts[0].name in names


async def _system_addresses(host: str) -> AddressAnswer:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return NoSuchDomain()
    return Addresses(tuple(dict.fromkeys(ip_address(entry[4][0]) for entry in found)))


def _credentials(provider: Provider | None) -> Credentials | None:
    if provider is None or not provider.username or provider.oauth is not None:
        return None
    return Credentials(provider.username, provider.password.get_secret_value())


def _unknown(name: str) -> Deferred:
    return Deferred(Reply(451, "4.3.5", f"no provider named {name} is configured"), lane_down=True)


def _is_local(address: str) -> bool:
    """Whether an IP address belongs to this machine."""
    # Connecting a datagram socket selects the source address, and sends nothing.
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)

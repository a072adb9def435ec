"""DNS lookups: their results, the resolver, and the protocol that other packages depend on."""

import asyncio
import errno
import random
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import groupby
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import dns.reversename
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

IPAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class MxHost:
    """One mail exchanger: lower preference values come first."""

    preference: int
    name: str


@dataclass(frozen=True, slots=True)
class Hosts:
    """Mail exchangers by preference, in random order within one. `implicit`: the name itself, because it has no MX."""

    hosts: tuple[MxHost, ...]
    implicit: bool = False


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a host; at least one."""

    addresses: tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True)
class Texts:
    """The TXT records of a name, at least one; the strings of each are joined (RFC 7208 section 3.3)."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alias:
    """The target of a CNAME, without the final dot."""

    target: str


@dataclass(frozen=True, slots=True)
class Names:
    """The PTR names of an address, at least one, without the final dot (RFC 1035 section 3.5)."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NullMx:
    """The domain accepts no mail (RFC 7505)."""


@dataclass(frozen=True, slots=True)
class NoSuchDomain:
    """The name does not exist (NXDOMAIN), or is not a domain name."""


@dataclass(frozen=True, slots=True)
class NoRecords:
    """The name exists, but has no records of this type."""


@dataclass(frozen=True, slots=True)
class TemporaryFailure:
    """SERVFAIL, REFUSED, a timeout or a malformed answer: retry later. `text` is the reason."""

    text: str


Negative = NoSuchDomain | NoRecords | TemporaryFailure

MxAnswer = Hosts | NullMx | NoSuchDomain | TemporaryFailure

AddressAnswer = Addresses | Negative

TextAnswer = Texts | Negative

AliasAnswer = Alias | Negative

NamesAnswer = Names | Negative

Shuffle = Callable[[list[MxHost]], None]

_Lookup = dns.resolver.Answer | Negative


class Resolver:
    """Sends queries to the given name servers, or to those of the system, and caches the answers.

    `nameservers` are IP addresses and ports. `timeout` is the seconds for one server, `lifetime` those for a query.
    """

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] = (),
        *,
        timeout: float = 3.0,
        lifetime: float = 10.0,
        cache_size: int = 20_000,
        shuffle: Shuffle = random.shuffle,
    ) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=not nameservers)
        if nameservers:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in nameservers]
        self._resolver.timeout = timeout
        self._resolver.lifetime = lifetime
        self._cache_size = cache_size
        self._resolver.cache = dns.resolver.LRUCache(cache_size)

        # An alias whose target does not exist gives NXDOMAIN (RFC 6604), and dnspython then caches that the alias
        # itself does not exist. Therefore CNAME queries have a cache of their own.
        self._aliases = copy(self._resolver)
        self._aliases.cache = dns.resolver.LRUCache(cache_size)

        self._shuffle = shuffle
        self._in_flight: dict[tuple[dns.name.Name, str], asyncio.Task[_Lookup]] = {}

    def forget(self) -> None:
        """Clear the cache, so that records published just now are found."""
        for resolver in (self._resolver, self._aliases):
            resolver.cache = dns.resolver.LRUCache(self._cache_size)

    async def mx(self, domain: str) -> MxAnswer:
        """Return the mail exchangers of a domain: the domain itself if it has no MX (RFC 5321 section 5.1)."""
        answer = await self._ask(domain, "MX")
        match answer:
            case NoRecords():
                return Hosts((MxHost(0, _text_of(domain)),), implicit=True)
            case NoSuchDomain() | TemporaryFailure():
                return answer

        records = {(data.preference, _bare(data.exchange)) for data in answer if isinstance(data, MX)}
        named = sorted(record for record in records if record[1])
        if not named:
            return NullMx()

        hosts: list[MxHost] = []
        for _, equals in groupby((MxHost(*record) for record in named), key=lambda host: host.preference):
            group = list(equals)
            self._shuffle(group)
            hosts += group
        return Hosts(tuple(hosts))

    async def addresses(self, host: str, *, ipv6: bool = True) -> AddressAnswer:
        """Return the addresses of a host, IPv6 and IPv4 alternating; IPv4 only if `ipv6` is False."""
        kinds = ("AAAA", "A") if ipv6 else ("A",)
        answers = await asyncio.gather(*(self._ask(host, kind) for kind in kinds))
        found = [
            [ip_address(data.address) for data in answer if isinstance(data, A | AAAA)]
            for answer in answers
            if isinstance(answer, dns.resolver.Answer)
        ]
        if any(found):
            return Addresses(tuple(_alternate(found)))

        failures = [answer for answer in answers if isinstance(answer, TemporaryFailure)]
        if failures:
            return failures[0]
        return NoSuchDomain() if all(isinstance(answer, NoSuchDomain) for answer in answers) else NoRecords()

    async def txt(self, name: str) -> TextAnswer:
        """Return the TXT records of a name."""
        answer = await self._ask(name, "TXT")
        if not isinstance(answer, dns.resolver.Answer):
            return answer
        return Texts(
            tuple(b"".join(data.strings).decode("utf-8", "replace") for data in answer if isinstance(data, TXT))
        )

    async def cname(self, name: str) -> AliasAnswer:
        """Return the target of a CNAME."""
        answer = await self._ask(name, "CNAME")
        if not isinstance(answer, dns.resolver.Answer):
            return answer
        return next((Alias(_bare(data.target)) for data in answer if isinstance(data, CNAME)), NoRecords())

    async def ptr(self, address: IPAddress) -> NamesAnswer:
        """Return the PTR names of an address."""
        answer = await self._ask(dns.reversename.from_address(str(address)).to_text(), "PTR")
        if not isinstance(answer, dns.resolver.Answer):
            return answer
        return Names(tuple(_bare(data.target) for data in answer if isinstance(data, PTR)))

    async def _ask(self, text: str, kind: str) -> _Lookup:
        """Send a query, or wait for the same query in flight. A cancelled caller does not cancel the query."""
        try:
            name = dns.name.from_text(text)
        except (dns.exception.DNSException, UnicodeError):
            return NoSuchDomain()
        if name == dns.name.root:
            return NoSuchDomain()

        key = (name, kind)
        task = self._in_flight.get(key)
        if task is None:
            task = asyncio.create_task(self._resolve(name, kind))
            self._in_flight[key] = task
            task.add_done_callback(lambda _: self._in_flight.pop(key, None))
        return await asyncio.shield(task)

    async def _resolve(self, name: dns.name.Name, kind: str) -> _Lookup:
        try:
            return await (self._aliases if kind == "CNAME" else self._resolver).resolve(name, kind)
        except dns.resolver.NXDOMAIN:
            return NoSuchDomain()
        except dns.resolver.NoAnswer:
            return NoRecords()
        except (dns.exception.DNSException, OSError) as error:
            return TemporaryFailure(f"{kind} of {_bare(name)}: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Return the reason as one line; the text of dnspython is long."""
    match error:
        case dns.resolver.LifetimeTimeout():
            return "no name server answered in time"
        case dns.resolver.NoNameservers():
            errors = error.kwargs.get("errors") or [("", False, 0, "no name server is configured", None)]
            return "; ".join(dict.fromkeys(_server_failure(server, answer) for server, _, _, answer, _ in errors))
        case OSError():
            return os_error_text(error)
        case _:
            return str(error) or type(error).__name__


def _server_failure(server: str, answer: object) -> str:
    """Return what came of a query to one server: its answer, or an error of this host, which is none."""
    if isinstance(answer, OSError):
        return f"{server}: {os_error_text(answer)}"
    return f"{server} answered {answer}".strip()


_NO_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def os_error_text(error: OSError) -> str:
    """Return the reason of an error of the system, in words that no reply of another server has."""
    if error.errno in _NO_RESOURCES:
        return "the relay has no free file descriptors for a connection"
    return error.strerror or str(error) or type(error).__name__


def _bare(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


def _text_of(domain: str) -> str:
    return _bare(dns.name.from_text(domain))


def _alternate(groups: list[list[IPAddress]]) -> list[IPAddress]:
    """Return the groups interleaved, so that the first few addresses include each kind."""
    longest = max(map(len, groups))
    return [group[index] for index in range(longest) for group in groups if index < len(group)]


class Lookups(Protocol):
    """DNS lookups that return each result as a value. All but `cname` follow aliases."""

    async def mx(self, domain: str) -> MxAnswer:
        """Return the mail exchangers; `implicit` if there is no MX record."""

    async def addresses(self, host: str, *, ipv6: bool = True) -> AddressAnswer:
        """Return the addresses; IPv4 only if `ipv6` is False."""

    async def txt(self, name: str) -> TextAnswer:
        """Return the TXT records; the strings of each are joined."""

    async def cname(self, name: str) -> AliasAnswer:
        """Return the direct target of a CNAME."""

    async def ptr(self, address: IPAddress) -> NamesAnswer:
        """Return the PTR names of an address."""

"""Names of HTTP hosts: the hosts file first, as for every program, then DNS, and no thread waits for it."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6, AF_UNSPEC, AI_NUMERICHOST, AI_NUMERICSERV, IPPROTO_TCP, AddressFamily
from typing import assert_never

from aiohttp.abc import AbstractResolver, ResolveResult

from relay.resolver import Addresses, NoRecords, NoSuchDomain, Resolver, TemporaryFailure

HOSTS = Path("/etc/hosts")

_FAMILIES = {4: AF_INET, 6: AF_INET6}


class Names(AbstractResolver):
    """Finds the addresses of a host for an HTTP client."""

    def __init__(self, resolver: Resolver, hosts: Path = HOSTS) -> None:
        self._resolver = resolver
        self._hosts = hosts

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC) -> list[ResolveResult]:
        """Return the addresses of that family; raise OSError saying why there are none."""
        found = listed(_text(self._hosts), host) or await self._asked(host)
        results = [
            _result(host, address, port) for address in found if family in (AF_UNSPEC, _FAMILIES[address.version])
        ]
        if not results:
            raise OSError(f"{host} has no address")
        return results

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _asked(self, host: str) -> tuple[IPv4Address | IPv6Address, ...]:
        match await self._resolver.addresses(host):
            case Addresses(addresses):
                return addresses
            case TemporaryFailure(text):
                raise OSError(f"DNS gives no answer: {text}")
            case NoSuchDomain() | NoRecords():
                return ()
            case never:
                assert_never(never)


def listed(hosts: str, host: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return the addresses a hosts file (hosts(5)) gives a name; lines that are none are passed over."""
    found = []
    for line in hosts.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if host.lower() in map(str.lower, names):
            try:
                found.append(ip_address(address))
            except ValueError:
                continue
    return tuple(found)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""


def _result(host: str, address: IPv4Address | IPv6Address, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=str(address),
        port=port,
        family=_FAMILIES[address.version],
        proto=IPPROTO_TCP,
        flags=AI_NUMERICHOST | AI_NUMERICSERV,
    )

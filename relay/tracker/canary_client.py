"""Requests canaries over HTTP."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6, AF_UNSPEC, AI_NUMERICHOST, AI_NUMERICSERV, IPPROTO_TCP, AddressFamily
from typing import Self, assert_never

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from relay.resolver import Addresses, NoRecords, NoSuchDomain, Resolver, TemporaryFailure
from relay.tracker.canary import Canary, link_fault, pixel_fault

HOSTS = Path("/etc/hosts")

_FAMILIES = {4: AF_INET, 6: AF_INET6}


class HostResolver(AbstractResolver):
    """Resolver of the HTTP client: addresses from the hosts file, else from DNS."""

    def __init__(self, resolver: Resolver, hosts: Path = HOSTS) -> None:
        self._resolver = resolver
        self._hosts = hosts

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC) -> list[ResolveResult]:
        """Return the addresses of a family; raise OSError with the reason if there are none."""
        found = parse_hosts(_text(self._hosts), host) or await self._lookup(host)
        results = [
            _result(host, address, port) for address in found if family in (AF_UNSPEC, _FAMILIES[address.version])
        ]
        if not results:
            raise OSError(f"{host} has no address")
        return results

    async def close(self) -> None:
        """Do nothing: the resolver has no open connections."""

    async def _lookup(self, host: str) -> tuple[IPv4Address | IPv6Address, ...]:
        match await self._resolver.addresses(host):
            case Addresses(addresses):
                return addresses
            case TemporaryFailure(text):
                raise OSError(f"the DNS lookup failed: {text}")
            case NoSuchDomain() | NoRecords():
                return ()
            case never:
                assert_never(never)


def parse_hosts(hosts: str, host: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return the addresses of a name in the text of a hosts file (hosts(5)); invalid lines are skipped."""
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


TIMEOUT = 8.0
"""Seconds to wait for the answer to a canary."""

_HEADERS = {"User-Agent": "relay (canary)"}


class CanaryClient:
    """Requests the links and pixels of canaries: no redirects, no cookies."""

    def __init__(self, resolver: Resolver) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=HostResolver(resolver)),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def fault(self, sent: Canary) -> str:
        """Request link and pixel; return the error in the answers, "" if there is none."""
        try:
            async with self._session.get(sent.link, allow_redirects=False) as answer:
                fault = link_fault(sent, answer.status, answer.headers.get("Location", ""))
            if not fault:
                async with self._session.get(sent.pixel, allow_redirects=False) as answer:
                    fault = pixel_fault(answer.status, answer.content_type)
        except TimeoutError:
            return f"does not answer within {TIMEOUT:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"does not answer: {error or type(error).__name__}"[:300]
        return fault

"""Fetches a pixel and a link by the public base URL, as a reader would, and explains what is in the way."""

import socket
from dataclasses import dataclass
from typing import assert_never
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from relay import __version__
from relay.identities.lookup import Lookups
from relay.resolver import Addresses, NoRecords, NoSuchDomain, TemporaryFailure
from relay.tracker.canary import Canary, link_fault, pixel_fault
from relay.verification.result import Remark

TIMEOUT = 10.0
"""Seconds one answer may take."""

AGENT = f"relay-verification/{__version__}"
"""By this name the tracker knows that no reader asked (`relay.tracker.reader`)."""


class _Names(AbstractResolver):
    """Finds addresses by the name servers of the relay: readers know no /etc/hosts."""

    def __init__(self, dns: Lookups) -> None:
        self._dns = dns

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses; raise OSError that says why there are none."""
        if host == "localhost":
            return [_found(host, "127.0.0.1", port, socket.AF_INET)]
        match await self._dns.addresses(host):
            case Addresses(addresses):
                kinds = {4: socket.AF_INET, 6: socket.AF_INET6}
                all_found = [_found(host, str(one), port, kinds[one.version]) for one in addresses]
                return [one for one in all_found if family in (socket.AF_UNSPEC, one["family"])]
            case NoSuchDomain():
                raise OSError(f"{host} does not exist in DNS")
            case TemporaryFailure(text):
                raise OSError(f"DNS gives no answer for {host}: {text}")
            case NoRecords():
                raise OSError(f"{host} has no address in DNS")
            case never:
                assert_never(never)

    async def close(self) -> None:
        """Nothing is kept open."""


def _found(host: str, address: str, port: int, family: socket.AddressFamily) -> ResolveResult:
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


@dataclass(frozen=True, slots=True)
class Place:
    """Where readers reach the tracker, and where it listens; `hostname` is the relay's."""

    base_url: str
    listens_at: str
    hostname: str

    @property
    def host(self) -> str:
        """The host of the base URL."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def proxy(self) -> str:
        """What has to be set up between both."""
        at = self.listens_at or "the tracker (tracker.address is empty here)"
        return f"let what answers at {self.base_url} pass /o/, /c/, /u/ and /v/ on to {at}"


async def fetch(dns: Lookups, place: Place, sent: Canary, *, pixel: bool, link: bool) -> list[Remark]:
    """Fetch pixel and link, those that are wanted, as long as nothing is wrong; return what came of it."""
    connector = aiohttp.TCPConnector(resolver=_Names(dns))
    limit = aiohttp.ClientTimeout(total=TIMEOUT)
    remarks: list[Remark] = []
    async with aiohttp.ClientSession(connector=connector, timeout=limit, headers={"User-Agent": AGENT}) as session:
        try:
            if pixel:
                async with session.get(sent.pixel, allow_redirects=False) as answer:
                    remarks.append(_seen("pixel", place, pixel_fault(answer.status, answer.content_type)))
            if link and not any(one.status == "wrong" for one in remarks):
                async with session.get(sent.link, allow_redirects=False) as answer:
                    fault = link_fault(sent, answer.status, answer.headers.get("Location", ""))
                    remarks.append(_seen("click", place, fault))
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            remarks.append(_in_the_way(place, error))
    return remarks


def _seen(what: str, place: Place, fault: str) -> Remark:
    if not fault:
        return Remark("ok", f"the {what} was fetched by {place.base_url}")
    return Remark(
        "wrong", f"{place.base_url} {fault}: another server answers there, or a tracker with other keys", place.proxy
    )


def _in_the_way(place: Place, error: Exception) -> Remark:
    """Explain why no answer came."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            fix = f"publish a CNAME of {place.host} to {place.hostname}, or the addresses of its proxy"
            return Remark("wrong", str(error.os_error), fix)
        case aiohttp.ClientSSLError():
            fix = f"give the HTTPS proxy of {place.host} a certificate for that name that browsers trust"
            return Remark("wrong", f"the certificate of {place.host} is not accepted: {error}", fix)
        case TimeoutError():
            return Remark("wrong", f"{place.base_url} gave no answer within {TIMEOUT:g} s", place.proxy)
        case aiohttp.ClientConnectorError():
            return Remark(
                "wrong", f"nothing answers at {place.base_url}: {error.os_error.strerror or error}", place.proxy
            )
    return Remark("wrong", f"{place.base_url} cannot be fetched: {error or type(error).__name__}", place.proxy)

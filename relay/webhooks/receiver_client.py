"""Posts to one receiver over HTTP, and only to the addresses that are allowed."""

import asyncio
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from relay import __version__
from relay.config.webhooks import Webhook
from relay.mail.public_address import IPAddress, is_blocked, is_numeric_host
from relay.resolver import Addresses, Lookups, NoRecords, NoSuchDomain, TemporaryFailure
from relay.webhooks.progress import TEXT
from relay.webhooks.response_meaning import Response

_READ = 4096
"""Octets of an answer that are read, at most."""


class BlockedAddressError(OSError):
    """The host has no address that may be reached."""


class CheckedResolver(AbstractResolver):
    """Looks names up for aiohttp, and returns those addresses only that may be reached.

    The connection goes to an address that was checked: a name that changes between two lookups gains nothing.
    """

    def __init__(self, lookups: Lookups, webhook: Webhook) -> None:
        self._lookups = lookups
        self._webhook = webhook

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002  both kinds are tried
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises OSError if there is none that may be reached."""
        answer = await self._lookups.addresses(host)
        match answer:
            case Addresses(addresses):
                usable = [one for one in addresses if may_reach(one, self._webhook)]
                if not usable:
                    raise BlockedAddressError(f"{host} is at {addresses[0]}, which {_forbidden(self._webhook)}")
                return [_result(host, port, one) for one in usable]
            case NoSuchDomain() | NoRecords():
                raise BlockedAddressError(f"{host} has no address")
            case TemporaryFailure(text):
                raise BlockedAddressError(text)

    async def close(self) -> None:
        """Do nothing: the lookups belong to the relay."""


def may_reach(address: IPAddress, webhook: Webhook) -> bool:
    """Whether events may be posted to this address: without TLS only to networks that are allowed explicitly."""
    if webhook.is_plain and not any(address in network for network in webhook.allow_networks):
        return False
    return not is_blocked(address, webhook.allow_networks)


def _forbidden(webhook: Webhook) -> str:
    return "allow_networks does not have" if webhook.is_plain else "is not public; allow_networks has exceptions"


def _result(host: str, port: int, address: IPAddress) -> ResolveResult:
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=str(address), port=port, family=family, proto=0, flags=flags)


class ReceiverClient:
    """Posts bodies to the URL of a webhook: no redirects, no cookies, no proxies, certificates verified."""

    def __init__(self, webhook: Webhook, lookups: Lookups) -> None:
        self._webhook = webhook
        self._lookups = lookups
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def _open(self) -> aiohttp.ClientSession:
        webhook = self._webhook
        context = await asyncio.to_thread(_tls_context, webhook)
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(self._lookups, webhook),
            use_dns_cache=False,
            ssl=context,
            limit=webhook.concurrency,
            keepalive_timeout=30.0,
        )
        own = {name: value.get_secret_value() for name, value in webhook.headers.items()}
        return aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": f"relay/{__version__}", "Accept": "*/*", **_login(webhook), **own},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=webhook.timeout),
            trust_env=False,
            auto_decompress=False,
            max_line_size=_READ,
            max_field_size=_READ,
        )

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Post once, and return the answer. Never raises for what a receiver or the network does."""
        assert self._session is not None
        began = asyncio.get_running_loop().time()
        try:
            self._check_literal()
            async with self._session.post(
                self._webhook.url, data=body, headers=dict(headers), allow_redirects=False
            ) as answer:
                text = await _beginning(answer)
                taken = asyncio.get_running_loop().time() - began
                return Response(answer.status, text, answer.headers.get("Retry-After", "").strip(), taken)
        except TimeoutError:
            reason = f"no answer within {self._webhook.timeout:g} seconds"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = _reason(error)
        return Response(0, printed(reason), seconds=asyncio.get_running_loop().time() - began)

    def _check_literal(self) -> None:
        """Judge an address in the URL, which aiohttp does not look up. Some versions take "127.1" for one too."""
        host = self._webhook.host
        try:
            address = ip_address(host)
        except ValueError:
            if is_numeric_host(host):
                raise BlockedAddressError(f"{host} is neither a name nor an address in its usual form") from None
            return
        if not may_reach(address, self._webhook):
            raise BlockedAddressError(f"{address} {_forbidden(self._webhook)}")


def _login(webhook: Webhook) -> Mapping[str, str]:
    """Return the field of HTTP Basic (RFC 7617), if there is a login."""
    if not webhook.username:
        return {}
    login = f"{webhook.username}:{webhook.password.get_secret_value()}"
    return {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}


def _tls_context(webhook: Webhook) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if webhook.ca_file:
        context.load_verify_locations(webhook.ca_file)
    return context


async def _beginning(answer: aiohttp.ClientResponse) -> str:
    """Return the beginning of the text of an answer. What follows is not read: it could be endless."""
    octets = b""
    with suppress(aiohttp.ClientError, TimeoutError):
        while len(octets) < _READ and (more := await answer.content.read(_READ - len(octets))):
            octets += more
    if not answer.content.at_eof():
        answer.close()
    return printed(octets.decode("utf-8", "replace"))


def printed(text: str) -> str:
    """Return a text on one line without control characters, cut to what is kept."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= TEXT else f"{line[: TEXT - 1]}…"


def _reason(error: Exception) -> str:
    """Return why there was no answer."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"certificate: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            return error.os_error.strerror or str(error.os_error) or str(error)
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
    return str(error) or type(error).__name__

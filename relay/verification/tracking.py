"""Tracking step: fetches pixel and link of the test mail, and sends a test response."""

import socket
from dataclasses import dataclass
from typing import assert_never
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from relay import __version__
from relay.config.settings import Settings, Tracking
from relay.events.event import Event, Kind
from relay.mail.canonical_address import domain_of
from relay.reports.ports import Story
from relay.resolver import Addresses, Lookups, NoRecords, NoSuchDomain, TemporaryFailure
from relay.rewrite.tokens import Keyring, Token, cc_address, sign_address_token, sign_token
from relay.rewrite.tokens import Kind as TokenKind
from relay.tracker.canary import Canary, link_fault, pixel_fault
from relay.verification.code_steps import send_response, test_mail_of
from relay.verification.context import VerificationContext, poll_until
from relay.verification.result import Remark, Result, evaluated, failed
from relay.verification.sending import test_link

TIMEOUT = 10.0
"""Seconds one response may take."""

AGENT = f"relay-verification/{__version__}"
"""User-Agent by which the tracker recognises requests of a test (`relay.tracker.user_agents`)."""


class _Resolver(AbstractResolver):
    """Resolves through relay's name servers, not /etc/hosts: readers do not have that file."""

    def __init__(self, dns: Lookups) -> None:
        self._dns = dns

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses; the OSError names why there are none."""
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
class TrackerAddress:
    """Public and local address of the tracker; `hostname` is relay's."""

    base_url: str
    listens_at: str
    hostname: str

    @property
    def host(self) -> str:
        """The host of the base URL."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def proxy(self) -> str:
        """How to configure the proxy between both."""
        at = self.listens_at or "the tracker (tracker.address is empty here)"
        return f"let what answers at {self.base_url} pass /o/, /c/, /u/, /v/ and /verify on to {at}"


async def fetch(dns: Lookups, tracker: TrackerAddress, sent: Canary, *, pixel: bool, link: bool) -> list[Remark]:
    """Fetch pixel and link, as requested, until one is wrong; return the remarks."""
    connector = aiohttp.TCPConnector(resolver=_Resolver(dns))
    limit = aiohttp.ClientTimeout(total=TIMEOUT)
    remarks: list[Remark] = []
    async with aiohttp.ClientSession(connector=connector, timeout=limit, headers={"User-Agent": AGENT}) as session:
        try:
            if pixel:
                async with session.get(sent.pixel, allow_redirects=False) as answer:
                    remarks.append(_seen("pixel", tracker, pixel_fault(answer.status, answer.content_type)))
            if link and not any(one.status == "wrong" for one in remarks):
                async with session.get(sent.link, allow_redirects=False) as answer:
                    fault = link_fault(sent, answer.status, answer.headers.get("Location", ""))
                    remarks.append(_seen("click", tracker, fault))
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            remarks.append(_connection_fault(tracker, error))

    return remarks


def _seen(what: str, tracker: TrackerAddress, fault: str) -> Remark:
    if not fault:
        return Remark("ok", f"the {what} was fetched by {tracker.base_url}")
    return Remark(
        "wrong",
        f"{tracker.base_url} {fault}: another server answers there, or a tracker with other keys",
        tracker.proxy,
    )


def _connection_fault(tracker: TrackerAddress, error: Exception) -> Remark:
    """Explain a failed request."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            fix = f"publish a CNAME of {tracker.host} to {tracker.hostname}, or the addresses of its proxy"
            return Remark("wrong", str(error.os_error), fix)
        case aiohttp.ClientSSLError():
            fix = f"give the HTTPS proxy of {tracker.host} a certificate for that name that browsers trust"
            return Remark("wrong", f"the certificate of {tracker.host} is not accepted: {error}", fix)
        case TimeoutError():
            return Remark("wrong", f"{tracker.base_url} gave no answer within {TIMEOUT:g} s", tracker.proxy)
        case aiohttp.ClientConnectorError():
            return Remark(
                "wrong", f"nothing answers at {tracker.base_url}: {error.os_error.strerror or error}", tracker.proxy
            )

    return Remark("wrong", f"{tracker.base_url} cannot be fetched: {error or type(error).__name__}", tracker.proxy)


RECORDED = 15.0
"""Seconds until a fetch must be recorded; a spool is stored within five."""


async def try_tracking(tools: VerificationContext, identity: str) -> Result:
    """Fetch pixel and link of the last test mail, answer it, and wait for the events."""
    story = await test_mail_of(tools, identity)
    if story is None:
        fix = f"relay identity verify {identity} --step sending"
        return failed("tracking", "there is no test mail yet whose tracking could be tried", fix)
    remarks = [*await _pixel_and_link(tools, identity, story), *await _response(tools, identity, story)]
    return evaluated("tracking", tuple(remarks), story.message.queue_id)


async def _pixel_and_link(tools: VerificationContext, identity: str, story: Story) -> list[Remark]:
    """Fetch pixel and link and wait for their events."""
    settings, domain = tools.settings(), domain_of(identity)
    switches = settings.tracking_for(identity)
    if not (switches.opens or switches.clicks):
        return [Remark("ok", f"opens and clicks are not tracked for {domain}: the configuration says so")]
    tracker = TrackerAddress(switches.base_url, settings.tracker.address, settings.server.hostname)
    started, queue_id = tools.clock(), story.message.queue_id
    carried = _pixel_and_link_of(tools.keyring(), switches, queue_id, identity)
    remarks = await fetch(tools.resolver(), tracker, carried, pixel=switches.opens, link=switches.clicks)
    if any(one.status == "wrong" for one in remarks):
        return remarks
    wanted = {kind for kind, on in ((Kind.OPEN, switches.opens), (Kind.CLICK, switches.clicks)) if on}

    async def look() -> set[Kind]:
        seen = await tools.story(queue_id)
        return {event.kind for event in (seen.events if seen else ()) if _is_ours(event, started)}

    missing = wanted - await poll_until(look, lambda seen: wanted <= seen, RECORDED)
    for kind in sorted(wanted):
        if kind in missing:
            fix = f"the tracker behind {tracker.base_url} must be of this relay, or its spool must be carried here"
            remarks.append(Remark("wrong", f"the {kind} was answered, but not recorded", fix))
        else:
            remarks.append(Remark("ok", f"the {kind} is recorded, marked as a test"))
    return remarks


def _pixel_and_link_of(keyring: Keyring, switches: Tracking, queue_id: str, identity: str) -> Canary:
    """Return the pixel and link of the test mail's first recipient."""
    target = test_link(identity)
    link = sign_token(keyring, Token(TokenKind.CLICK, queue_id, 0, target))
    pixel = sign_token(keyring, Token(TokenKind.OPEN, queue_id, 0))
    return Canary(f"{switches.base_url}/c/{link}", target, f"{switches.base_url}/o/{pixel}")


def _is_ours(event: Event, started: float) -> bool:
    """Whether the event was caused by this test, not by a reader."""
    return event.at >= started and event.data.get("user_agent") == AGENT


async def _response(tools: VerificationContext, identity: str, story: Story) -> list[Remark]:
    """Send a test response to the test mail and wait for the REPLY event."""
    known = tools.settings().identity_for(identity)
    if known is not None and known.reply_to:
        return [Remark("warning", f"replies go to {known.reply_to}, the fixed reply_to: they are not tracked")]
    to = response_address(tools.settings(), tools.keyring(), identity, story.message.queue_id)
    return [await send_response(tools, identity, to, story)] if to else []


def response_address(settings: Settings, keyring: Keyring, identity: str, queue_id: str) -> str:
    """Return the address that receives answers to that mail: its reply address, else the CC address of the identity.

    "" when this relay does not receive answers.
    """
    reply_domain = settings.domain_for(identity).reply_domain
    if not reply_domain or not any(listener.kind == "inbound" for listener in settings.listeners):
        return ""
    known = settings.identity_for(identity)
    if known is None or known.tracks_replies:
        return f"{sign_address_token(keyring, Token(TokenKind.REPLY, queue_id, 0))}@{reply_domain}"
    return cc_address(keyring, identity, reply_domain)

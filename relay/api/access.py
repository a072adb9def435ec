"""The caller of a request: its credential, its scopes, and the identities whose events it may see."""

import asyncio
import base64
import binascii
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil

from aiohttp import web

from relay.admin.key_audit import REQUESTING_KEY, RequestingKey
from relay.api.request_rates import RequestRates
from relay.clock import Clock, steady_clock
from relay.config.credentials import Scope, parse_key
from relay.config.settings import Settings
from relay.mail.canonical_address import canonical, canonical_domain, domain_of
from relay.networks import Network, NetworkSet
from relay.people.audit_trail import AuditTrail
from relay.smtp.throttle import AuthThrottle
from relay.tracker.client import client_address
from relay.tracker.forwarded import read_x_forwarded_for

Authenticate = Callable[[Settings, str, str], Awaitable[str | None]]
"""Returns the name of the credential that has the user name and secret, None if there is none."""

AT_ONCE = 25
"""Requests of one credential at the same time, at most: half of the connections of the API."""

MAX_PAUSE = 10.0
"""Seconds that a request with a login waits after failures, at most."""

_REALM = {"WWW-Authenticate": 'Basic realm="relay", charset="UTF-8"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """A credential, and what it may see: its domains; else its identities, as for sending; else all."""

    credential: str
    identities: Sequence[str] | None = None
    """Addresses; None: not restricted to identities."""
    domains: Sequence[str] | None = None
    """Canonical domains; None: not restricted to domains."""

    @property
    def sees_all(self) -> bool:
        """Whether nothing is hidden from it."""
        return self.identities is None and self.domains is None

    def sees_domain(self, domain: str) -> bool:
        """Whether a sending domain is its own, in any spelling."""
        return self.sees_all or (self.domains is not None and canonical_domain(domain) in self.domains)

    def sees_address(self, address: str) -> bool:
        """Whether a sender is its own: its identity, or an address of its domain."""
        if self.domains is not None:
            return domain_of(address) in self.domains
        return self.identities is None or canonical(address) in map(canonical, self.identities)


OPERATOR = Caller("")
"""The caller on the admin socket: its file mode decides which users may open it."""

CALLER = web.RequestKey("caller", Caller)

CLIENT = web.RequestKey("client", str)
"""IP address of the client, behind the trusted proxies."""


def caller_of(request: web.Request) -> Caller:
    """Return the caller, which the server checked. Raises KeyError for a route without a check."""
    return request[CALLER]


def client_address_of(request: web.Request, proxies: Sequence[Network]) -> str:
    """Return the IP address of the client: the peer, or the one that a trusted proxy names."""
    hops = read_x_forwarded_for(request.headers)
    return client_address(request.remote or "0.0.0.0", hops, NetworkSet(proxies))  # noqa: S104  no address is known


def login_failure_key(username: str, secret: str) -> str:
    """Return the name whose wrong logins count together: the credential that a key names, else the user name.

    All clients of a service have the same user name. A stranger who uses it must not delay the logins of others.
    """
    named, _ = parse_key(secret)
    return f"key of {named}" if named else username


def has_login(request: web.BaseRequest) -> bool:
    """Whether the server checked the caller of a request."""
    return isinstance(request, web.Request) and CALLER in request


@web.middleware
async def as_operator(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Let the operator be the caller of all routes of an application."""
    request[CALLER] = OPERATOR
    return await handler(request)


@dataclass(frozen=True, slots=True)
class Access:
    """Checks the login of requests: HTTP Basic, or Bearer with the same text, not encoded."""

    settings: Callable[[], Settings]
    authenticate: Authenticate
    clock: Clock
    audit: AuditTrail | None = None
    """Records what keys change."""
    throttle: AuthThrottle = field(default_factory=AuthThrottle)
    rates: RequestRates = field(default_factory=RequestRates)
    under_way: Counter[str] = field(default_factory=Counter)
    """Requests under way, by credential."""
    steady: Callable[[], float] = steady_clock
    """Seconds of a clock that is never set."""

    @contextmanager
    def turn(self, caller: Caller) -> Iterator[None]:
        """Count a request as under way. Raises 429 for too many of one credential: others need connections too."""
        name = caller.credential
        if self.under_way[name] >= AT_ONCE:
            text = f"more than {AT_ONCE} requests of one credential at the same time"
            raise web.HTTPTooManyRequests(text=text, headers={"Retry-After": "1"})
        self.under_way[name] += 1
        try:
            yield
        finally:
            self.under_way[name] -= 1

    async def caller(self, request: web.Request, scope: Scope) -> Caller:
        """Return the caller by the Authorization field. Raises what `logged_in` raises."""
        return await self.logged_in(request, *parse_login(request.headers.get("Authorization", "")), scope)

    async def logged_in(self, request: web.Request, username: str, secret: str, scope: Scope) -> Caller:
        """Return the caller with that login. Raises 401 for a wrong one, 403 without the scope, 429 for too many."""
        if not secret:
            raise web.HTTPUnauthorized(text="a login is needed: NAME and SECRET of [credentials]", headers=_REALM)

        settings = self.settings()
        client = request[CLIENT] = client_address_of(request, settings.api.trusted_proxies)
        counted = login_failure_key(username, secret)
        wait = self.throttle.reserve(client, counted, self.clock(), MAX_PAUSE)
        if wait is None:
            raise web.HTTPTooManyRequests(text="too many wrong logins; try again later", headers={"Retry-After": "30"})
        if wait > 0:
            await asyncio.sleep(wait)

        name = await self.authenticate(settings, username, secret)
        if name is None:
            self.throttle.failed(client, counted, self.clock())
            raise web.HTTPUnauthorized(text="the login is wrong", headers=_REALM)
        self.throttle.succeeded(client, counted, self.clock())
        retry_after = self.rates.take(name, settings.api.requests_per_minute, self.steady())
        if retry_after > 0:
            text = f"more than {settings.api.requests_per_minute} requests a minute (api.requests_per_minute)"
            raise web.HTTPTooManyRequests(text=text, headers={"Retry-After": str(ceil(retry_after))})
        if not settings.has_scope(name, scope):
            raise web.HTTPForbidden(text=f'the credential {name} has no scope "{scope}": add it to its scopes')
        found = caller_for(settings, name)
        if self.audit is not None:
            domains = None if found.sees_all else found.domains or ()
            request[REQUESTING_KEY] = RequestingKey(self.audit, name, client, domains)
        return found


def caller_for(settings: Settings, credential: str) -> Caller:
    """Return a credential with what it may see."""
    domains = settings.domains_of(credential)
    return Caller(credential, identities_of(settings, credential), tuple(map(canonical_domain, domains)) or None)


def identities_of(settings: Settings, credential: str) -> Sequence[str] | None:
    """Return the identities that a credential may see, None for all: as for sending."""
    if not settings.is_restricted(credential):
        return None
    return [address for address, one in settings.identities.items() if credential in one.credentials]


def parse_login(field_value: str) -> tuple[str, str]:
    """Return user name and secret of an Authorization field, "" for what is missing.

    A Bearer token is NAME:SECRET, or a key that names its credential.
    """
    scheme, _, value = field_value.partition(" ")
    value = value.strip()
    match scheme.lower():
        case "basic":
            try:
                value = base64.b64decode(value, validate=True).decode("utf-8")
            except (binascii.Error, ValueError):
                return "", ""
            name, _, secret = value.partition(":")
            return name, secret
        case "bearer":
            name, colon, secret = value.partition(":")
            return (name, secret) if colon else ("", value)
    return "", ""

"""Access to the console by login: the host, the origin of forms, the session, and the headers of all answers.

A page of another site must not act with the login of a person. Its requests name another origin, it cannot read the
token of a form, and browsers do not send the cookie (SameSite=Strict). A name that is pointed at this machine (DNS
rebinding) is not the host of the console.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from relay.config.console import Console
from relay.console.access import POLICY
from relay.console.masking import mask_addresses
from relay.console.roles import Role, Viewer, set_viewer, viewer_of
from relay.networks import is_in, plain_address
from relay.people.grants import SignedIn, Stage
from relay.people.login import People

COOKIE = "__Host-relay"
"""Browsers take a cookie of such a name from this host over TLS only (RFC 6265bis section 4.1.3)."""

FIELD = "csrf"
"""Field of each form with the token of its session."""

HEADERS = {
    "Server": "relay",
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # "no-referrer" would make browsers hide the origin of forms (Fetch, section 3.1).
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Robots-Tag": "noindex, nofollow",
}

TYPED = web.RequestKey("typed", str)
"""The address in the form of a login that failed: masked, the next try would send it so."""

MAX_ANONYMOUS_BODY = 8192
"""Octets of a form of a client that is not logged in: its fields are shown again, and masked."""

TLS_ONLY = "max-age=31536000"
"""Strict-Transport-Security, where the console is reached over TLS."""


@dataclass(frozen=True, slots=True)
class LoginAccess:
    """Authenticates requests. `shown` are addresses that are never masked: those of the senders."""

    people: People
    console: Console
    shown: Callable[[], frozenset[str]]

    def middleware(self) -> Middleware:
        """Return the middleware of all routes."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            answer = await self._refusal(request) or await handler(request)
            viewer = viewer_of(request)
            if not viewer.sees_addresses and isinstance(answer, web.Response) and answer.text:
                answer.text = mask_addresses(answer.text, self.shown() | {viewer.name, request.get(TYPED, "")})
            return answer

        return middleware

    async def _refusal(self, request: web.Request) -> web.Response | None:
        """Note who makes the request. Return the response to one that may come from another site."""
        origin = self.console.origin
        if request.headers.getall("Host", []) != [urlsplit(origin).netloc]:
            text = (
                f"The console is at {origin}. Requests for other hosts are not answered; a proxy has to pass on Host.\n"
            )
            return web.Response(status=421, text=text)
        if request.method not in ("GET", "HEAD") and is_foreign(request.headers, origin):
            return web.Response(status=403, text="The form comes from a page of another site.\n")
        token = request.cookies.get(COOKIE, "")
        signed_in = await self.people.signed_in(token)
        set_viewer(request, viewer_by_login(signed_in, self.client_of(request)))
        if signed_in is None and has_large_body(request):
            return web.Response(status=413, text=f"A form without a login may have {MAX_ANONYMOUS_BODY} octets.\n")
        if signed_in is not None and request.method not in ("GET", "HEAD"):
            try:
                given = (await request.post()).get(FIELD)
            except (ValueError, LookupError) as error:
                return web.Response(status=400, text=f"The form cannot be read: {error}\n")
            if not isinstance(given, str) or not compare_digest(given.encode(), signed_in.csrf.encode()):
                text = "The form belongs to another login. Load the page again, and send the form from there.\n"
                return web.Response(status=403, text=text)
        return None

    def client_of(self, request: web.Request) -> str:
        """Return the address of the client: the last one of X-Forwarded-For that is no trusted proxy."""
        peer = plain_address(request.remote or "") or "0.0.0.0"  # noqa: S104  no address is known
        hops = [one.strip() for line in request.headers.getall("X-Forwarded-For", []) for one in line.split(",")]
        while is_in(peer, self.console.trusted_proxies) and hops:
            found = plain_address(hops.pop())
            if found is None:
                break
            peer = found
        return peer

    async def secure(self, _: web.Request, answer: web.StreamResponse) -> None:
        """Add the headers of all answers, before any octet of them."""
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers["Server"] = HEADERS["Server"]  # aiohttp has set its own.
        if self.console.origin.startswith("https:"):
            answer.headers.setdefault("Strict-Transport-Security", TLS_ONLY)


def has_large_body(request: web.Request) -> bool:
    """Whether the body is, or may be, larger than that of a login. A compressed one may be of any size."""
    length = request.content_length
    is_open = length is None or "Content-Encoding" in request.headers
    return request.can_read_body and (is_open or (length or 0) > MAX_ANONYMOUS_BODY)


def is_foreign(headers: Mapping[str, str], origin: str) -> bool:
    """Return True unless a form comes from a page of this origin (Fetch Metadata, RFC 6454 section 7)."""
    site, named = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if site is None and named is None:
        return True
    return (site or "same-origin").lower() != "same-origin" or (named or origin).lower() != origin


def viewer_by_login(signed_in: SignedIn | None, client: str) -> Viewer:
    """Return who makes a request with that login."""
    if signed_in is None:
        return Viewer(role=Role.NOBODY, sees_addresses=False, client=client)
    return Viewer(
        name=signed_in.address,
        role=Role[signed_in.role.upper()] if signed_in.stage is Stage.FULL else Role.NEWCOMER,
        sees_addresses=signed_in.may("support"),
        domains=tuple(signed_in.domains),
        signed_in=signed_in,
        client=client,
    )


def set_cookie(answer: web.Response, token: str, seconds: float) -> None:
    """Give the browser the token of a session."""
    answer.set_cookie(COOKIE, token, max_age=round(seconds), path="/", secure=True, httponly=True, samesite="Strict")


def end_cookie(answer: web.Response) -> None:
    """Take the token from the browser."""
    answer.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Strict")

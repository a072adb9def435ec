"""The client of a request: user agent, for whom it asks, and its address behind proxies. Pure functions.

Requests of machines and of proxies are recorded with the reason, so that reports can count them apart.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import IPv6Address

from relay.events.event import Kind
from relay.log.encoded_fields import EncodedFields, encoded
from relay.mail.trace_context import TRACEPARENT, valid_traceparent
from relay.networks import is_ipv4, plain_address
from relay.tracker.forwarded import hop_address, hops_of
from relay.tracker.user_agents import Requester, known_client

MAX_USER_AGENT = 512
"""Characters of a user agent that are recorded, at most."""

_CONTROLS = re.compile(r"[^ -~\xa0-\u2027\u202a-\U0010ffff]+|[\ud800-\udfff]+")

_PREFETCH_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")

_PREFETCH = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)


@dataclass(frozen=True)
class Client:
    """The client of a request, and for whom it asks when it opens, and when it clicks."""

    user_agent: str
    opens: Requester = "person"
    clicks: Requester = "person"
    reason: str = ""
    """The evidence that it is no person, "" without one."""
    trace: str = ""
    """The trace of the request (W3C Trace Context), which a proxy adds; "" without one."""

    def requester(self, kind: Kind) -> Requester:
        """Return for whom a request of that kind is made."""
        return self.opens if kind is Kind.OPEN else self.clicks

    def event_fields(self, kind: Kind) -> dict[str, object]:
        """Return the fields of the client in an event of that kind."""
        fields: dict[str, object] = {"user_agent": self.user_agent} if self.user_agent else {}
        if self.trace:
            fields[TRACEPARENT] = self.trace
        match self.requester(kind):
            case "machine":
                fields |= {"machine": True, "reason": self.reason}
            case "proxy":
                fields |= {"proxied": True, "reason": self.reason}
        return fields

    @cached_property
    def open_fields(self) -> EncodedFields:
        """The fields of an open."""
        return encoded(self.event_fields(Kind.OPEN))

    @cached_property
    def click_fields(self) -> EncodedFields:
        """The fields of a click."""
        return encoded(self.event_fields(Kind.CLICK))


def parse_client(method: str, headers: Mapping[str, str]) -> Client:
    """Return the client of a request with these header fields."""
    user_agent, trace = clean_user_agent(headers.get("User-Agent", "")), valid_traceparent(headers.get(TRACEPARENT, ""))
    if method == "HEAD":
        return Client(user_agent, "machine", "machine", "HEAD", trace)
    known = known_client(user_agent)
    if any(_PREFETCH.search(headers.get(name, "")) for name in _PREFETCH_HEADERS):
        return Client(user_agent, "machine", "machine", known.name if known else "prefetch", trace)
    return (
        Client(user_agent, known.opens, known.clicks, known.name, trace) if known else Client(user_agent, trace=trace)
    )


def clean_user_agent(value: str) -> str:
    """Return the user agent without control characters, cut to `MAX_USER_AGENT`."""
    return _CONTROLS.sub("", value[: 2 * MAX_USER_AGENT]).strip()[:MAX_USER_AGENT]


_plain_peer = lru_cache(maxsize=1024)(plain_address)
"""Cached: behind a proxy all connections have its address."""


def client_address(peer: str, forwarded_for: str, trusted: Container[str]) -> str:
    """Return the address of the client: the last one in X-Forwarded-For that is not a trusted proxy.

    Entries are read from the right, as long as a trusted proxy added them. Invalid addresses end the search.
    """
    address = _plain_peer(peer) or peer
    if not forwarded_for or address not in trusted:
        return address
    if is_ipv4(forwarded_for):  # One proxy and one client, as nearly always.
        return forwarded_for
    for hop in reversed(hops_of(forwarded_for)):
        if address not in trusted:
            return address
        found = hop_address(hop)
        if found is None:
            return address
        address = found
    return address


def client_group(client: str) -> str:
    """Return the key of a client: its IPv4 address, or the /64 of an IPv6 subscriber (RFC 6177)."""
    if ":" not in client:
        return client
    plain = plain_address(client)
    if plain is None or ":" not in plain:
        return plain or client
    return str(IPv6Address(int(IPv6Address(plain)) >> 64 << 64))

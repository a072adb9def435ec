"""The client of a request: user agent, person or machine, and its address behind proxies. Pure functions.

Requests of machines are recorded with the reason, so that reports can count them apart.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


MAX_USER_AGENT = 512
"""Characters of a user agent that are recorded, at most."""


_CONTROLS = re.compile(r"[^ -~\xa0-\u2027\u202a-\U0010ffff]+|[\ud800-\udfff]+")


_AGENTS = (
    ("proxy: Gmail", r"GoogleImageProxy"),
    ("proxy: Yahoo Mail", r"YahooMailProxy|YahooMobileMail"),
    ("proxy: other mail service", r"BingPreview|SeznamEmailProxy|ImageProxy|MailProxy"),
    ("scanner: Microsoft Safe Links", r"Safe ?Links|ms-office|Microsoft Office Protocol|SkypeUriPreview"),
    ("scanner: Barracuda", r"Barracuda"),
    ("scanner: Proofpoint", r"Proofpoint|URLDefense"),
    ("scanner: Mimecast", r"Mimecast"),
    ("scanner: other", r"Symantec|MessageLabs|Trend ?Micro|FireEye|Sophos|IronPort|Zscaler|Kaspersky|virus ?total"
     r"|CloudMark|Bitdefender|SpamAssassin|rspamd|urlscan"),
    ("test of the relay's own", r"^relay-verification/"),
    ("preview", r"facebookexternalhit|Slackbot|TelegramBot|WhatsApp|Discordbot|LinkedInBot|Twitterbot|vkShare"),
    ("library", r"^(?:python-|curl/|Wget/|Go-http-client|Java/|okhttp|axios|node-fetch|undici|libwww-perl|Ruby"
     r"|Apache-HttpClient|PHP|aiohttp|httpx|PostmanRuntime|Python/|Faraday|RestSharp|Dart/)"),
    ("bot", r"(?<!cu)bot\b|crawl|spider|scan(?:ner)?\b|monitor|HeadlessChrome|PhantomJS|Puppeteer|Playwright|preview"),
)  # fmt: skip


_AGENT = re.compile("|".join(f"({pattern})" for _, pattern in _AGENTS), re.IGNORECASE)


_APPLE_PRIVACY = "Mozilla/5.0"
"""Complete user agent of Apple Mail Privacy Protection, which requests all images when a message arrives."""


_PREFETCH_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")


_PREFETCH = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a request. `machine` is the reason to take it for a machine, "" for a person."""

    user_agent: str
    machine: str


def parse_client(method: str, headers: Mapping[str, str]) -> Client:
    """Return the client of a request with these header fields."""
    user_agent = clean_user_agent(headers.get("User-Agent", ""))
    machine = "HEAD" if method == "HEAD" else agent_reason(user_agent)
    if not machine and any(_PREFETCH.search(headers.get(name, "")) for name in _PREFETCH_HEADERS):
        machine = "prefetch"
    return Client(user_agent, machine)


def clean_user_agent(value: str) -> str:
    """Return the user agent without control characters, cut to `MAX_USER_AGENT`."""
    return _CONTROLS.sub("", value[: 2 * MAX_USER_AGENT]).strip()[:MAX_USER_AGENT]


@lru_cache(maxsize=1024)
def agent_reason(user_agent: str) -> str:
    """Return the kind of machine with this user agent, "" for a browser or mail program."""
    if not user_agent:
        return "no user agent"
    if user_agent == _APPLE_PRIVACY:
        return "prefetch: Apple Mail Privacy Protection"
    match = _AGENT.search(user_agent)
    return _AGENTS[match.lastindex - 1][0] if match is not None and match.lastindex is not None else ""


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Return the address of the client: the last one in X-Forwarded-For that is not a trusted proxy.

    Entries are read from the right, as long as a trusted proxy added them. Invalid addresses end the search.
    """
    address = peer
    for hop in reversed(forwarded_for.split(",")[-32:]):
        if not is_trusted(address, trusted):
            return address
        try:
            address = str(ip_address(hop.strip().strip("[]")))
        except ValueError:
            return address
    return address


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Return True if the address is in a trusted network."""
    if not trusted:
        return False
    try:
        client = ip_address(address)
    except ValueError:
        return False
    client = getattr(client, "ipv4_mapped", None) or client
    return any(client.version == network.version and client in network for network in trusted)


def client_group(client: str) -> str:
    """Return the key of a client: its IPv4 address, or the /64 of an IPv6 subscriber (RFC 6177)."""
    if ":" not in client:
        return client
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if not isinstance(address, IPv6Address):
        return client
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))

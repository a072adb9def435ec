"""Fast path for pixels and links: requests of the usual form are answered without aiohttp's parser."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from relay.mail.native import IS_COMPILED, native
from relay.rewrite.token_parts import TokenParts, read_url_token_twin
from relay.tracker.client import Client, parse_client
from relay.tracker.forwarded import forwarded_for

MAX_REQUEST = 2048
"""Octets of a request on the fast path, at most."""

_REQUEST = re.compile(rb"GET /([oc])/([A-Za-z0-9_-]+) HTTP/1\.1\r\n(.*)\r\n\r\n", re.DOTALL)

_FORWARDED_FOR = re.compile(rb"(?:\A|(?<=\r\n))X-Forwarded-For: ([!-~](?:[ -~]*[!-~])?)(?=\r\n|\Z)", re.IGNORECASE)

_NAMES = (
    "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Cookie", "DNT",
    "Forwarded", "From", "Host", "If-Modified-Since", "If-None-Match", "Origin", "Pragma", "Priority", "Purpose",
    "Referer", "Save-Data", "Sec-CH-UA", "Sec-CH-UA-Mobile", "Sec-CH-UA-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode",
    "Sec-Fetch-Site", "Sec-Fetch-User", "Sec-GPC", "Sec-Purpose", "Upgrade-Insecure-Requests", "User-Agent", "Via",
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Moz", "X-Purpose", "X-Real-IP",
    "X-Request-ID", "X-Requested-With",
)  # fmt: skip

FIELDS: Mapping[str, str] = {name.lower(): name for name in _NAMES}
"""Header fields that a request may have, each once. None of them affects the body or the connection."""

_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?")


FastRequest = tuple[bool, TokenParts, Client, str, str]
"""Whether it is a click, the token, which is not verified yet, the client, X-Forwarded-For, and the peer."""


def parse_fast_request(data: bytes, peer: str) -> FastRequest | None:
    """Parse `data` as one request of the usual form; return None for anything else."""
    parts = split_request(data, MAX_REQUEST)
    if parts is None:
        return None
    is_click, token, fields, hops = parts
    said = _parse_fields(fields)
    return None if said is None else (is_click, token, said[0], hops or said[1], peer)


def split_request_twin(data: bytes, longest: int) -> tuple[bool, TokenParts, bytes, str] | None:
    """Return whether it is a click, token, fields and X-Forwarded-For of a request of at most `longest` octets.

    The value of X-Forwarded-For is left out of the fields, because behind a proxy it alone differs by reader. None for
    anything else (twin of `_native`).
    """
    found = _REQUEST.fullmatch(data) if len(data) <= longest else None
    token = read_url_token_twin(found[2].decode("ascii")) if found is not None else None
    if found is None or token is None:
        return None
    is_click, fields = found[1] == b"c", found[3]
    hops = _FORWARDED_FOR.search(fields)
    if hops is None:
        return is_click, token, fields, ""
    return is_click, token, fields[: hops.start(1)] + fields[hops.end(1) :], hops[1].decode("ascii")


split_request = native.split_request if IS_COMPILED else split_request_twin


@lru_cache(maxsize=1024)
def _parse_fields(octets: bytes) -> tuple[Client, str] | None:
    """Return the client, and the addresses of Forwarded; None if a field is unusual.

    Cached: clients repeat their header fields.
    """
    if not octets.isascii():
        return None
    fields: dict[str, str] = {}
    for line in octets.decode("ascii").split("\r\n"):
        field_name, _, value = line.partition(": ")
        name = FIELDS.get(field_name.lower())
        if name is None or name in fields or not (_is_usual(value) or (name == "X-Forwarded-For" and not value)):
            return None
        fields[name] = value
    if _HOST.fullmatch(fields.get("Host", "")) is None or fields.get("Connection", "keep-alive") != "keep-alive":
        return None
    return parse_client("GET", fields), forwarded_for(fields.get("Forwarded", ""))


def _is_usual(value: str) -> bool:
    """Whether the value of a field has visible characters only, and one space in front."""
    return bool(value) and value.isprintable() and value == value.strip()


MAX_BATCH = 64
"""Requests answered in one iteration of the event loop, at most. They take about a millisecond."""

Answers = Callable[[Sequence[FastRequest]], Sequence[bytes | None]]
"""Returns the response to each request; None leaves a request to aiohttp."""

Delay = Callable[[], float]
"""Returns the seconds by which the next batch is delayed in favour of other work, usually 0."""

SINK_DELAY = 0.02
"""Seconds by which a batch of pixels is delayed while the sink is behind."""


class PendingRequest(Protocol):
    """A connection whose request is on the fast path."""

    client: str
    pending: bytes
    """The request; empty if aiohttp has taken it over meanwhile."""

    def respond(self, answer: bytes | None, now: float) -> None:
        """Send the answer at this time of the event loop; None passes the request to aiohttp."""


class FastPath:
    """Answers requests of the usual form for all connections of one server, in batches."""

    def __init__(self, answers: Answers, delay: Delay) -> None:
        self._answers = answers
        self._delay = delay
        self._waiting: list[tuple[PendingRequest, FastRequest]] = []
        self._loop = asyncio.get_running_loop()

    def accept(self, connection: PendingRequest, data: bytes) -> bool:
        """Queue a request of the usual form; return False for any other data."""
        request = parse_fast_request(data, connection.client)
        if request is None:
            return False
        if not self._waiting:
            self._schedule()
        self._waiting.append((connection, request))
        return True

    def close(self) -> None:
        """Answer all queued requests."""
        while self._waiting:
            self._answer_batch()

    def _schedule(self) -> None:
        wait = self._delay()
        if wait:
            self._loop.call_later(wait, self._run)
        else:
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._answer_batch()
        if self._waiting:
            self._schedule()

    def _answer_batch(self) -> None:
        """Answer the oldest requests. All answers are made before the first is sent, so that clients wake up once."""
        oldest = self._waiting[:MAX_BATCH]
        del self._waiting[:MAX_BATCH]
        batch = [one for one in oldest if one[0].pending]
        answers = self._answers([request for _, request in batch])
        now = self._loop.time()
        for (connection, _), answer in zip(batch, answers, strict=True):
            connection.respond(answer, now)

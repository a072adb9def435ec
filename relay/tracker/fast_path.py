"""Fast path for pixels and links: requests of the usual form are answered without aiohttp's parser."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from relay.mail.native import IS_COMPILED, native
from relay.rewrite.tokens import Kind
from relay.tracker.client import Client, parse_client
from relay.tracker.forwarded import forwarded_for

MAX_REQUEST = 2048
"""Octets of a request on the fast path, at most."""

_STARTS = {b"GET /o/": Kind.OPEN, b"GET /c/": Kind.CLICK}

_START, _MIDDLE, _END = 7, " HTTP/1.1\r\n", b"\r\n\r\n"
"""Octets of the start, and what follows the token and the fields."""

_FORWARDED_FOR = "\r\nX-Forwarded-For: "

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


class FastRequest(NamedTuple):
    """A request of the usual form: token, client, and the addresses of X-Forwarded-For or Forwarded."""

    kind: Kind
    token: str
    client: Client
    forwarded_for: str


def parse_fast_request(data: bytes) -> FastRequest | None:
    """Parse `data` as one request of the usual form; return None for anything else.

    The token is not verified here.
    """
    parts = native.split_request(data, MAX_REQUEST) if IS_COMPILED else split_request(data, MAX_REQUEST)
    if parts is None:
        return None
    start, token, fields, hops = parts
    parsed = _parse_fields(fields)
    if parsed is None or (hops and parsed.has_forwarded_for):
        return None
    return FastRequest(_STARTS[start], token, parsed.client, hops or parsed.forwarded_for)


def split_request(data: bytes, longest: int) -> tuple[bytes, str, str, str] | None:
    """Return start, token, the other fields, and X-Forwarded-For of a request of at most `longest` octets.

    Behind a proxy X-Forwarded-For alone differs by reader. None for anything else (twin of `_native`).
    """
    start = data[:_START]
    if start not in _STARTS or len(data) > longest or not (data.endswith(_END) and data.isascii()):
        return None
    token, middle, text = data[_START : -len(_END)].decode("ascii").partition(_MIDDLE)
    if not middle:
        return None

    begin = text.find(_FORWARDED_FOR)
    if begin < 0:
        return start, token, text, ""
    end = text.find("\r\n", begin + 2)
    end = len(text) if end < 0 else end
    hops = text[begin + len(_FORWARDED_FOR) : end]
    return (start, token, text[:begin] + text[end:], hops) if _is_usual(hops) else (start, token, text, "")


class _Fields(NamedTuple):
    """The client that the fields describe, and the addresses of X-Forwarded-For, or of Forwarded in its place."""

    client: Client
    forwarded_for: str
    has_forwarded_for: bool


@lru_cache(maxsize=1024)
def _parse_fields(text: str) -> _Fields | None:
    """Return what the fields say; None if a field is unusual. Cached: clients repeat their header fields."""
    fields: dict[str, str] = {}
    for line in text.split("\r\n"):
        field_name, _, value = line.partition(": ")
        name = FIELDS.get(field_name.lower())
        if name is None or name in fields or not _is_usual(value):
            return None
        fields[name] = value
    if _HOST.fullmatch(fields.get("Host", "")) is None or fields.get("Connection", "keep-alive") != "keep-alive":
        return None
    hops = fields.get("X-Forwarded-For") or forwarded_for(fields.get("Forwarded", ""))
    return _Fields(parse_client("GET", fields), hops, "X-Forwarded-For" in fields)


def _is_usual(value: str) -> bool:
    """Whether the value of a field has visible characters only, and one space in front."""
    return bool(value) and value.isprintable() and value == value.strip()


MAX_BATCH = 64
"""Requests answered in one iteration of the event loop, at most. They take about a millisecond."""

Answers = Callable[[Sequence[tuple[FastRequest, str]]], Sequence[bytes | None]]
"""Returns the response to each request of a client address; None leaves a request to aiohttp."""

Delay = Callable[[], float]
"""Returns the seconds by which the next batch is delayed in favour of other work, usually 0."""

SINK_DELAY = 0.02
"""Seconds by which a batch of pixels is delayed while the sink is behind."""


class PendingRequest(Protocol):
    """A connection whose request is on the fast path."""

    client: str
    pending: bytes
    """The request; empty if aiohttp has taken it over meanwhile."""

    def respond(self, answer: bytes | None) -> None:
        """Send the answer; None passes the request to aiohttp."""


class FastPath:
    """Answers requests of the usual form for all connections of one server, in batches."""

    def __init__(self, answers: Answers, delay: Delay) -> None:
        self._answers = answers
        self._delay = delay
        self._waiting: deque[tuple[PendingRequest, FastRequest]] = deque()
        self._loop = asyncio.get_running_loop()

    def accept(self, connection: PendingRequest, data: bytes) -> bool:
        """Queue a request of the usual form; return False for any other data."""
        request = parse_fast_request(data)
        if request is None:
            return False
        self._waiting.append((connection, request))
        if len(self._waiting) == 1:
            self._schedule()
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
        oldest = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
        batch = [(connection, request) for connection, request in oldest if connection.pending]
        answers = self._answers([(request, connection.client) for connection, request in batch])
        for (connection, _), answer in zip(batch, answers, strict=True):
            connection.respond(answer)

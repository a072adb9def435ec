"""Pixel requests answered without the HTTP parser."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from relay.tracker.client import Client, parse_client

MAX_REQUEST = 2048
"""Octets of a request that is still commonplace."""


_START, _MIDDLE, _END = b"GET /o/", " HTTP/1.1\r\n", b"\r\n\r\n"


_NAMES = (
    "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Cookie", "DNT",
    "Forwarded", "From", "Host", "If-Modified-Since", "If-None-Match", "Origin", "Pragma", "Priority", "Purpose",
    "Referer", "Save-Data", "Sec-CH-UA", "Sec-CH-UA-Mobile", "Sec-CH-UA-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode",
    "Sec-Fetch-Site", "Sec-Fetch-User", "Sec-GPC", "Sec-Purpose", "Upgrade-Insecure-Requests", "User-Agent", "Via",
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Moz", "X-Purpose", "X-Real-IP",
    "X-Request-ID", "X-Requested-With",
)  # fmt: skip


FIELDS: Mapping[str, str] = {name.lower(): name for name in _NAMES}
"""The fields that may be there, once each: none says anything about a body or how the connection goes on."""


_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class PixelRequest:
    """A commonplace request: the token it asks with, who asks, and for whom a proxy does."""

    token: str
    reader: Client
    forwarded_for: str


def parse_pixel_request(data: bytes) -> PixelRequest | None:
    """Return the commonplace request that is all of `data`; None when it is anything else.

    What stands in place of the token may be anything: it is for `verify_token` to believe it.
    """
    if len(data) > MAX_REQUEST or not (data.startswith(_START) and data.endswith(_END) and data.isascii()):
        return None
    target, _, fields = data[len(_START) : -len(_END)].decode("ascii").partition(_MIDDLE)
    asker = _asker(fields)
    return None if asker is None else PixelRequest(target, *asker)


@lru_cache(maxsize=1024)
def _asker(text: str) -> tuple[Client, str] | None:
    """Return who asks by these fields, None when one is not commonplace. Mail programs and proxies repeat theirs."""
    fields: dict[str, str] = {}
    for line in text.split("\r\n"):
        written, _, value = line.partition(": ")
        name = FIELDS.get(written.lower())
        if name is None or name in fields or not value or not value.isprintable() or value != value.strip():
            return None
        fields[name] = value
    if _HOST.fullmatch(fields.get("Host", "")) is None or fields.get("Connection", "keep-alive") != "keep-alive":
        return None
    return parse_client("GET", fields), fields.get("X-Forwarded-For", "")


ROUND = 64
"""Requests answered in one turn of the loop at most: about a millisecond, in which nothing else runs."""


Answer = Callable[[PixelRequest, str], bytes | None]
"""Answers a request of that client; None leaves it to aiohttp."""


Delay = Callable[[], float]
"""Returns for how many seconds the next round waits, because something else has the right of way; 0 mostly."""


class PendingRequest(Protocol):
    """A connection whose request is in the lane."""

    client: str
    asked: bytes
    """The request; empty when it has left the lane meanwhile."""

    def settle(self, answer: bytes | None) -> None:
        """Send the answer; without one, have the request read by aiohttp."""


class PixelFastPath:
    """Answers the commonplace requests of all connections of one server."""

    def __init__(self, answer: Answer, right_of_way: Delay) -> None:
        self._answer = answer
        self._right_of_way = right_of_way
        self._waiting: deque[tuple[PendingRequest, PixelRequest]] = deque()
        self._loop = asyncio.get_running_loop()

    def take(self, asking: PendingRequest, data: bytes) -> bool:
        """Take octets that are one commonplace request, to be settled soon; False when they are anything else."""
        fetch = parse_pixel_request(data)
        if fetch is None:
            return False
        self._waiting.append((asking, fetch))
        if len(self._waiting) == 1:
            self._next_round()
        return True

    def close(self) -> None:
        """Answer all that wait."""
        while self._waiting:
            self._answer_some()

    def _next_round(self) -> None:
        wait = self._right_of_way()
        if wait:
            self._loop.call_later(wait, self._round)
        else:
            self._loop.call_soon(self._round)

    def _round(self) -> None:
        self._answer_some()
        if self._waiting:
            self._next_round()

    def _answer_some(self) -> None:
        """Answer the first of those that wait: all of them first, then send, which wakes the other side once."""
        taken = [self._waiting.popleft() for _ in range(min(ROUND, len(self._waiting)))]
        some = [(asking, fetch) for asking, fetch in taken if asking.asked]
        answers = [self._answer(fetch, asking.client) for asking, fetch in some]
        for (asking, _), answer in zip(some, answers, strict=True):
            asking.settle(answer)

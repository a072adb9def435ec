"""The commonplace request for a pixel, told from all others without a parser for HTTP. Pure.

Nearly every request a tracker gets is the same: GET of a pixel, HTTP/1.1, a handful of well-known fields, no body, all
of it in one piece. Only what is exactly that is read here; one octet out of the ordinary and it is aiohttp's, which
knows the whole grammar. So there is no second opinion on anything that two parsers could see differently: folded or
repeated fields, bare line ends, lengths and codings of bodies, upgrades, several requests in one piece.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from relay.tracker.reader import Reader, read_reader

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
class Fetch:
    """A commonplace request: the token it asks with, who asks, and for whom a proxy does."""

    token: str
    reader: Reader
    forwarded_for: str


def commonplace(data: bytes) -> Fetch | None:
    """Return the commonplace request that is all of `data`; None when it is anything else.

    What stands in place of the token may be anything: it is for `verify_token` to believe it.
    """
    if len(data) > MAX_REQUEST or not (data.startswith(_START) and data.endswith(_END) and data.isascii()):
        return None
    target, _, fields = data[len(_START) : -len(_END)].decode("ascii").partition(_MIDDLE)
    asker = _asker(fields)
    return None if asker is None else Fetch(target, *asker)


@lru_cache(maxsize=1024)
def _asker(text: str) -> tuple[Reader, str] | None:
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
    return read_reader("GET", fields), fields.get("X-Forwarded-For", "")

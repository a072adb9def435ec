"""Client of rspamd: one HTTP request for each message (https://rspamd.com/doc/developers/protocol.html)."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import aiohttp

from relay.spam.errors import FilterError
from relay.submission.spam import SpamRequest, SpamResult, Verdict

MAX_RESPONSE = 1 << 20
"""Octets of a response that are read."""

MAX_RECIPIENTS = 100
"""Recipients in a request, at most: each is a header field, and their number is limited."""

_VERDICTS: Mapping[str, Verdict] = {"reject": "spam", "discard": "spam", "quarantine": "spam", "soft reject": "later"}
"""Verdicts by action; all other actions let a message pass."""


async def check_with_rspamd(url: str, request: SpamRequest, content: bytes) -> SpamResult:
    """Return the result of rspamd at a URL. Raises FilterError or OSError; the caller limits the time."""
    connector = aiohttp.TCPConnector(force_close=True)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(
                f"{url}/checkv2", data=BytesIO(content), headers=_headers(request), allow_redirects=False
            ) as response,
        ):
            body = await _read(response.content)
            if response.status != 200:
                raise FilterError(f"HTTP status {response.status}: {_error_of(body)}")
    except aiohttp.ClientError as error:
        raise FilterError(str(error) or type(error).__name__) from error
    return parse_response(body)


async def _read(stream: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for block in stream.iter_any():
        body += block
        if len(body) > MAX_RESPONSE:
            raise FilterError(f"the response is longer than {MAX_RESPONSE} octets")
    return bytes(body)


def parse_response(body: bytes) -> SpamResult:
    """Parse a response. Raises FilterError."""
    try:
        found = json.loads(body)
        symbols = [(str(name), float(one.get("score", 0.0))) for name, one in found.get("symbols", {}).items()]
        verdict = _VERDICTS.get(found["action"], "ham")
        score, required = float(found["score"]), float(found["required_score"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FilterError(f"the response is no result of rspamd: {_error_of(body)}") from error
    return SpamResult(verdict, score, required, tuple(sorted(symbols, key=lambda one: -one[1])))


def _headers(request: SpamRequest) -> list[tuple[str, str]]:
    fields = [
        ("Queue-Id", request.queue_id),
        ("From", request.reverse_path),
        ("IP", request.client),
        ("Helo", request.helo),
        ("User", request.credential),
        ("MTA-Name", request.hostname),
        *(("Rcpt", one) for one in request.recipients[:MAX_RECIPIENTS]),
    ]
    return [(name, _clean(value)) for name, value in fields if value]


def _clean(value: str) -> str:
    """Return a value that can be sent in a header field: clients choose the name in EHLO."""
    printable = "".join(char if char.isprintable() else "?" for char in value)
    return printable.encode("utf-8", "replace").decode()


def _error_of(body: bytes) -> str:
    """Return the error that rspamd names in a body, else its beginning."""
    try:
        error: Any = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        error = body[:200].decode("utf-8", "replace")
    return _clean(str(error))

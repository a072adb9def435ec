"""Client of spamd of SpamAssassin: the request SYMBOLS (spamd/PROTOCOL in its sources)."""

import asyncio
import re
from contextlib import suppress

from relay.config.parsers import HostPort
from relay.spam.errors import FilterError
from relay.submission.spam import SpamResult

MAX_RESPONSE = 64 * 1024
"""Octets of a response that are read."""

_STATUS = re.compile(r"SPAMD/[\d.]+ (\d+) (.*)")

_SPAM = re.compile(r"(?mi)^Spam: *(\w+) *; *(-?[\d.]+) */ *(-?[\d.]+) *$")


async def check_with_spamd(server: HostPort, content: bytes) -> SpamResult:
    """Return the result of spamd for this content. Raises FilterError or OSError; the caller limits the time."""
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=MAX_RESPONSE)
    try:
        writer.write(b"SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(content))
        writer.write(content)
        await writer.drain()
        writer.write_eof()
        response = await reader.read(MAX_RESPONSE)
        while len(response) < MAX_RESPONSE and (block := await reader.read(MAX_RESPONSE - len(response))):
            response += block
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return parse_response(response)


def parse_response(response: bytes) -> SpamResult:
    """Parse a response. Raises FilterError."""
    header, _, body = response.decode("utf-8", "replace").replace("\r\n", "\n").partition("\n\n")
    status = _STATUS.match(header)
    if status is None:
        raise FilterError(f"the response is not that of spamd: {_shown(header)}")
    if status[1] != "0":
        raise FilterError(f"spamd reports error {status[1]}: {_shown(status[2])}")
    found = _SPAM.search(header)
    if found is None:
        raise FilterError(f"the response of spamd has no result: {_shown(header)}")
    symbols = tuple((name, 0.0) for name in body.strip().split(",") if name.strip())
    try:
        score, required = float(found[2]), float(found[3])
    except ValueError as error:
        raise FilterError(f"the response of spamd has no score: {_shown(found[0])}") from error
    return SpamResult("spam" if found[1].lower() == "true" else "ham", score, required, symbols)


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:200])

"""The clients of rspamd and spamd, and their limits, against servers that misbehave."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from relay.config.settings import Settings
from relay.spam import rspamd, spamd
from relay.spam.errors import FilterError
from relay.spam.filter import ConfiguredFilter
from relay.submission.spam import SpamRequest, SpamResult, Unchecked

REQUEST = SpamRequest(
    "Q1",
    b"Subject: x\r\n\r\nhello\r\n",
    b"",
    "a@acme.test",
    ("u@rcpt.test", "v@rcpt.test"),
    "192.0.2.7",
    "app",
    "me",
    "r.test",
)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def read_http(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head + await reader.readexactly(length)


def answering(status: str, body: bytes, seen: list[bytes] | None = None) -> Serve:
    """Return an HTTP server with one answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_http(reader)
        if seen is not None:
            seen.append(request)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return serve


def replying(text: bytes) -> Serve:
    """Return a server that reads all and sends a text."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.write(text)

    return serve


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.sleep(60)


@dataclass
class Watch:
    """Keeps what is reported."""

    results: list[SpamResult] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def spam_checked(self, request: SpamRequest, result: SpamResult) -> None:
        self.results.append(result)

    def spam_unchecked(self, why: str) -> None:
        self.failures.append(why)


async def checked(request: SpamRequest = REQUEST, **spam: Any) -> SpamResult | Unchecked:
    settings = Settings.model_validate({"spam": spam})
    watch = Watch()
    outcome = await ConfiguredFilter(lambda: settings, watch).check(request)
    assert (watch.results, watch.failures) == (
        ([outcome], []) if isinstance(outcome, SpamResult) else ([], [outcome.why])
    )
    return outcome


def result(action: str, score: float = 7.5) -> bytes:
    symbols = {"A": {"name": "A", "score": 0.5}, "B": {"name": "B", "score": 7.0}}
    return json.dumps({"action": action, "score": score, "required_score": 15, "symbols": symbols}).encode()


async def test_rspamd_gets_the_message_with_envelope_client_and_login() -> None:
    seen: list[bytes] = []
    odd = replace(REQUEST, helo="evil\r\nUser: admin", reverse_path="zoë\udcff@acme.test")
    async with served(answering("200 OK", result("no action"), seen)) as port:
        outcome = await checked(odd, rspamd=f"http://127.0.0.1:{port}/scan/")
    assert outcome == SpamResult("ham", 7.5, 15.0, (("B", 7.0), ("A", 0.5)))
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /scan/checkv2 HTTP/1.1"
    assert [line for line in lines if line.startswith(b"Rcpt: ")] == [b"Rcpt: u@rcpt.test", b"Rcpt: v@rcpt.test"]
    for line in (b"User: me", b"IP: 192.0.2.7", b"Queue-Id: Q1", "From: zoë?@acme.test".encode()):
        assert line in lines
    assert b"Helo: evil??User: admin" in lines
    assert body == odd.content


@pytest.mark.parametrize(
    ("action", "verdict"),
    [
        ("reject", "spam"),
        ("discard", "spam"),
        ("quarantine", "spam"),
        ("soft reject", "later"),
        ("add header", "ham"),
        ("rewrite subject", "ham"),
        ("greylist", "ham"),
        ("no action", "ham"),
    ],
)
def test_the_action_of_rspamd_decides(action: str, verdict: str) -> None:
    assert rspamd.parse_response(result(action)).verdict == verdict


@pytest.mark.parametrize(
    ("action", "score", "limit", "verdict"),
    [
        ("reject", 7.5, 7, "spam"),
        ("reject", 7.5, 8, "ham"),
        ("reject", 7.5, 0, "spam"),
        ("soft reject", 7.5, 8, "later"),
        ("soft reject", 7.5, 7, "spam"),
        ("no action", 7.5, 7, "spam"),
        ("greylist", 7.5, 8, "ham"),
    ],
)
async def test_a_score_of_the_configuration_decides_instead(
    action: str, score: float, limit: int, verdict: str
) -> None:
    async with served(answering("200 OK", result(action, score))) as port:
        outcome = await checked(rspamd=f"http://127.0.0.1:{port}", score=limit)
    assert isinstance(outcome, SpamResult)
    assert (outcome.verdict, outcome.required) == (verdict, limit or 15.0)


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (answering("403 Forbidden", b'{"error":"no\\u0007 access"}'), "HTTP status 403: no? access"),
        (answering("302 Found", b""), "HTTP status 302: "),
        (answering("200 OK", b"<html>"), "the response is no result of rspamd: <html>"),
        (answering("200 OK", b'{"error":"late"}'), "the response is no result of rspamd: late"),
        (answering("200 OK", b"[]"), "the response is no result of rspamd: []"),
        (answering("200 OK", b"x" * (rspamd.MAX_RESPONSE + 1)), "the response is longer than 1048576 octets"),
        (replying(b"SSH-2.0\r\n"), ""),
        (hanging, "gave no result within 0.2 seconds"),
    ],
)
async def test_an_rspamd_that_gives_no_result(serve: Serve, why: str) -> None:
    async with served(serve) as port:
        outcome = await checked(rspamd=f"http://127.0.0.1:{port}", timeout="200ms")
    assert isinstance(outcome, Unchecked)
    assert outcome.why.startswith(f"rspamd at http://127.0.0.1:{port}")
    assert why in outcome.why


SPAM = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 11\r\nSpam: True ; 8.6 / 5.0\r\n\r\nOTHER,PILLS\r\n"


async def test_spamd_gets_the_message_and_names_rules() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read())
        writer.write(SPAM[:30])
        await writer.drain()
        writer.write(SPAM[30:])

    async with served(serve) as port:
        outcome = await checked(spamd=f"127.0.0.1:{port}")
    assert outcome == SpamResult("spam", 8.6, 5.0, (("OTHER", 0.0), ("PILLS", 0.0)))
    assert seen == [b"SYMBOLS SPAMC/1.5\r\nContent-length: 21\r\n\r\n" + REQUEST.content]


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (replying(b"SPAMD/1.0 79 Timeout: (300 second timeout)\r\n"), "spamd reports error 79: Timeout: (300"),
        (replying(b"HTTP/1.1 400 Bad\r\n\r\n"), "the response is not that of spamd: HTTP/1.1 400 Bad"),
        (replying(b"SPAMD/1.1 0 EX_OK\r\n\r\n"), "the response of spamd has no result"),
        (replying(b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; 1.2.3 / 5\r\n\r\n"), "the response of spamd has no score"),
        (replying(b""), "the response is not that of spamd: "),
        (hanging, "gave no result within 0.2 seconds"),
    ],
)
async def test_a_spamd_that_gives_no_result(serve: Serve, why: str) -> None:
    async with served(serve) as port:
        outcome = await checked(spamd=f"127.0.0.1:{port}", timeout="200ms")
    assert isinstance(outcome, Unchecked)
    assert outcome.why.startswith(f"spamd at 127.0.0.1:{port}")
    assert why in outcome.why


async def test_a_filter_that_does_not_listen() -> None:
    outcome = await checked(spamd="127.0.0.1:1")
    assert isinstance(outcome, Unchecked)
    assert "spamd at 127.0.0.1:1: " in outcome.why


async def test_at_most_so_many_messages_are_checked_at_a_time() -> None:
    at_once = most = 0
    free = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await reader.read()
        await free.wait()
        at_once -= 1
        writer.write(SPAM)

    async with served(serve) as port:
        settings = Settings.model_validate({"spam": {"spamd": f"127.0.0.1:{port}", "connections": 2}})
        spam_filter = ConfiguredFilter(lambda: settings, Watch())
        checks = [asyncio.create_task(spam_filter.check(REQUEST)) for _ in range(5)]
        while most < 2:
            await asyncio.sleep(0.001)
        free.set()
        assert all(isinstance(one, SpamResult) for one in await asyncio.gather(*checks))
    assert most == 2


def test_malformed_scores_are_faults() -> None:
    with pytest.raises(FilterError):
        rspamd.parse_response(b'{"action":"reject","score":"many","required_score":15}')
    with pytest.raises(FilterError):
        spamd.parse_response(b"")


def test_reasons_and_events_name_a_bounded_number_of_rules() -> None:
    many = SpamResult("spam", 20.25, 15.0, tuple((f"R{number}", 1.5) for number in range(30)))
    assert many.reason == "spam: score 20.25 of 15 (R0, R1, R2, R3, R4, …)"
    rules = many.event_fields["spam_symbols"]
    assert isinstance(rules, list)
    assert (len(rules), rules[0]) == (20, "R0(1.5)")
    assert SpamResult("ham", 0.0, 5.0).event_fields == {"spam_score": 0.0, "spam_required": 5.0}

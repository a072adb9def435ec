"""The fast path answers and records exactly as aiohttp does, for any octets in any pieces."""

import asyncio
import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.events.event import Event
from relay.http_tracker import Tracker
from relay.listening_sockets import listen
from relay.rewrite.tokens import Kind, Token, new_key, parse_keyring, sign_token
from relay.tracker.fast_path import FIELDS, MAX_REQUEST, parse_fast_request
from relay.tracker.link_blocks import Block, LinkBlocks
from relay.tracker.server import MAX_FIELDS

KEYS = parse_keyring([new_key(b"k" * 32, "k1")])

QUEUE_ID = "0ABCDFGHJKLMNP"

OPEN, CLICK, LEAVE = (
    sign_token(KEYS, Token(kind, QUEUE_ID, 3, "https://shop.test/?a=1" if kind is Kind.CLICK else "")).encode()
    for kind in (Kind.OPEN, Kind.CLICK, Kind.UNSUBSCRIBE)
)

BLOCKED, ODD = (
    sign_token(KEYS, Token(Kind.CLICK, QUEUE_ID, 3, target)).encode()
    for target in ("https://bad.test/login", "ftp://files.test/")
)

CANARY = sign_token(KEYS, Token(Kind.OPEN, "0" * 14, 7)).encode()

FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

PLAIN = b"GET /o/" + OPEN + b" HTTP/1.1\r\nHost: t.example\r\nUser-Agent: " + FIREFOX + b"\r\nAccept: */*\r\n\r\n"


PLAIN_CLICK = PLAIN.replace(b"/o/" + OPEN, b"/c/" + CLICK)

BLOCKS = LinkBlocks([Block("host", "bad.test")])


class Sink:
    """Keeps events in memory."""

    behind = False

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    async def keep(self, event: Event) -> bool:
        self.events.append(event)
        return True


class MemoryTransport(asyncio.Transport):
    """The server side of a connection; written octets are kept."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711)})
        self.written = bytearray()
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing, "written after the end"
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def pause_reading(self) -> None:
        """Nothing is read."""

    resume_reading = pause_reading


Piece = tuple[bytes, bool]
"""Octets that arrive together, and whether they are answered before the next ones arrive."""


async def exchange(pieces: Sequence[Piece], trusted: Sequence[str], *, fast: bool, pixel_delay: float = 0.0) -> Any:
    """Return the octets of the answers but for dates and ids, whether the connection was ended, and the events."""
    sink, transport = Sink(), MemoryTransport()
    tracker = Tracker(
        lambda: KEYS,
        sink,  # type: ignore[arg-type]
        trusted_proxies=[ip_network(one) for one in trusted],
        clock=lambda: 1_764_000_000.5,
        pixel_delay=lambda: pixel_delay,
        blocks=lambda: BLOCKS,
    )
    await tracker.start(await listen(("127.0.0.1",), 0))
    assert tracker._server is not None
    connection = tracker._server()
    if not fast:
        connection._fast_path = None
    connection.connection_made(transport)
    await run_loop()
    for data, settled in pieces:
        if not transport.closing:
            connection.data_received(data)
        if settled:
            await run_loop()
    await run_loop()
    if pixel_delay:
        await asyncio.sleep(2 * pixel_delay)
        await run_loop()
    written, ended = bytes(transport.written), transport.closing
    connection.connection_lost(None)
    await tracker.stop()
    events = [(one, {key: value for key, value in one.data.items() if key != "id"}) for one in sink.events]
    assert all(re.fullmatch("[0-9a-f]{16}", str(one.data["id"])) for one in sink.events)
    seen = [(one.kind, one.at, one.queue_id, one.number, one.address, list(data.items())) for one, data in events]
    return re.sub(rb"\r\nDate: [^\r]{29}\r\n", b"\r\nDate\r\n", written), ended, seen


async def run_loop() -> None:
    """Run the event loop often enough for any request to be answered."""
    for _ in range(60):
        await asyncio.sleep(0)


def both(pieces: Sequence[Piece], trusted: Sequence[str] = ()) -> tuple[Any, Any]:
    async def run() -> tuple[Any, Any]:
        return await exchange(pieces, trusted, fast=True), await exchange(pieces, trusted, fast=False)

    return asyncio.run(run())


TARGETS = (
    *[b"/o/" + OPEN] * 6,
    *[b"/c/" + CLICK] * 4,
    b"/c/" + BLOCKED,
    b"/c/" + ODD,
    b"/o/" + CANARY,
    b"/o/" + OPEN + b"?x=1",
    b"/o/" + OPEN + b"=",
    b"/o/" + OPEN[:-1],
    b"/o/" + CLICK,
    b"/o/",
    b"/o/" + OPEN + b"#f",
    b"/O/" + OPEN,
    b"//o/" + OPEN,
    b"http://t.example/o/" + OPEN,
    b"/c/" + CLICK + b"-",
    b"/c/" + OPEN,
    b"/u/" + LEAVE,
    b"/healthz",
    b"*",
)

FIELD_LINES = (
    *[b"User-Agent: " + FIREFOX, b"Accept: image/*", b"accept-encoding: gzip, br", b"Connection: keep-alive"] * 3,
    b"User-Agent: curl/8.11.0",
    b"USER-AGENT: Mozilla/5.0",
    b"User-Agent:",
    b"User-Agent: " + b"x" * 600,
    b"User-Agent: caf\xc3\xa9",
    b"User-Agent: tab\there",
    b"User-Agent: nul\0",
    b"User-Agent:no blank",
    b"User-Agent:  two",
    b"Accept: trailing ",
    b"Accept : */*",
    b" Accept: folded",
    b"\tfolded",
    b"Host: other.example",
    b"Host: t.example:8025",
    b"Host: a b",
    b"Host: [::1]:80",
    b"Host: t.example:999999",
    b"X-Forwarded-For: 203.0.113.7",
    b"X-Forwarded-For: 203.0.113.7, 192.0.2.9",
    b"x-forwarded-for: nonsense",
    b"Purpose: prefetch",
    b"Sec-Purpose: prefetch;prerender",
    b"Connection: close",
    b"Connection: Keep-Alive",
    b"Connection: keep-alive, close",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"Content-Length: 0",
    b"Content-Length: 3",
    b"Content-Length: +0",
    b"Content-Length: 1, 1",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: \x0bchunked",
    b"Content-Encoding: gzip",
    b"Content-Type: text/plain",
    b"Expect: 100-continue",
    b"Trailer: X",
    b"TE: trailers",
    b"Cookie: a=b; c=d",
    b"X-Unknown: y",
    b"X: " + b"y" * 9000,
    b"no colon",
    b": no name",
    b"",
    b"Referer: https://mail.test/\nX: y",
    b"Referer: https://mail.test/\rX: y",
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request as it should be, or nearly."""
    method = draw(st.sampled_from([*[b"GET"] * 8, b"HEAD", b"POST", b"get", b"GET ", b"BREW"]))
    version = draw(st.sampled_from([*[b"HTTP/1.1"] * 8, b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b""]))
    fields = draw(st.lists(st.sampled_from(FIELD_LINES), max_size=5))
    host = draw(st.sampled_from([*[[b"Host: t.example"]] * 6, []]))
    end = draw(st.sampled_from([*[b"\r\n"] * 8, b"\n", b"\r", b"\r\r\n"]))
    body = draw(st.sampled_from([*[b""] * 8, b"abc", b"0\r\n\r\n", b"\r\n"]))
    lines = [b" ".join((method, draw(st.sampled_from(TARGETS)), version)), *draw(st.permutations(host + fields))]
    return end.join([*lines, b"", b""]) + body


@st.composite
def altered(draw: st.DrawFn, octets: bytes) -> bytes:
    """The octets with one of them changed, taken out or put in."""
    at = draw(st.integers(0, len(octets) - 1))
    new = draw(st.sampled_from([b"", *(bytes([one]) for one in b"\0\t\n\r !:-AGo\x7f\x80\xff")]))
    return octets[:at] + new + octets[at + draw(st.integers(0, 1)) :]


@st.composite
def conversations(draw: st.DrawFn) -> list[Piece]:
    """One to three requests, perhaps altered, in pieces that end anywhere."""
    octets = draw(st.lists(st.one_of(st.just(PLAIN), requests()), min_size=1, max_size=3))
    said = [draw(altered(one)) if draw(st.integers(0, 3)) == 0 else one for one in octets]
    if draw(st.booleans()):
        return [(one, draw(st.booleans())) for one in said]
    whole = b"".join(said)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    starts = [0, *cuts]
    return [(whole[a:b], draw(st.booleans())) for a, b in zip(starts, [*cuts, len(whole)], strict=True) if a < b]


@given(conversations(), st.sampled_from([(), ("192.0.2.0/24",)]))
@example([(PLAIN, True)] * 3, ())
@example([(PLAIN_CLICK, True), (PLAIN, True), (PLAIN_CLICK, True)], ())
@example([(PLAIN_CLICK.replace(CLICK, BLOCKED), True)], ())
@example([(PLAIN_CLICK.replace(CLICK, ODD), True)], ())
@example([(PLAIN, False)] * 3, ())
@example([(PLAIN * 3, True)], ())
@example([(PLAIN, False), (b"rubbish\r\n\r\n", False)], ())
@example([(PLAIN, True), (b"rubbish\r\n\r\n", False)], ())
@example([(PLAIN[:40], True), (PLAIN[40:], True), (PLAIN, True)], ())
def test_the_fast_path_answers_and_records_as_aiohttp_does(pieces: list[Piece], trusted: tuple[str, ...]) -> None:
    fast, slow = both(pieces, trusted)
    assert fast == slow


@given(st.one_of(altered(PLAIN), requests()))
def test_requests_that_differ_in_one_octet_are_answered_alike(octets: bytes) -> None:
    fast, slow = both([(octets, True)])
    assert fast == slow


@given(requests())
def test_a_body_another_version_or_a_second_request_leaves_the_fast_path(octets: bytes) -> None:
    if parse_fast_request(octets) is None:
        return
    head, end, rest = octets.partition(b"\r\n\r\n")
    assert (rest, end) == (b"", b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    assert re.fullmatch(rb"GET /[oc]/[!-~]* HTTP/1\.1", line)
    names = [field.partition(b":")[0].lower().decode() for field in fields]
    assert len(set(names)) == len(names)
    assert "host" in names
    assert not {"content-length", "transfer-encoding", "upgrade", "expect", "te", "trailer"} & set(names)


def test_a_request_on_the_fast_path_is_within_all_limits_of_aiohttp() -> None:
    assert len(FIELDS) < MAX_FIELDS
    assert parse_fast_request(PLAIN) is not None
    assert parse_fast_request(PLAIN.replace(b"*/*", b"x" * (MAX_REQUEST - len(PLAIN) + 3))) is not None
    assert parse_fast_request(PLAIN.replace(b"*/*", b"x" * (MAX_REQUEST - len(PLAIN) + 4))) is None


def test_the_fast_path_is_used_and_its_date_is_that_of_the_clock() -> None:
    sent: list[bytes] = []

    async def run() -> None:
        tracker = Tracker(lambda: KEYS, Sink(), clock=lambda: 1_764_000_000.5)  # type: ignore[arg-type]
        await tracker.start(await listen(("127.0.0.1",), 0))
        assert tracker._server is not None
        connection, transport = tracker._server(), MemoryTransport()
        connection.connection_made(transport)
        connection.data_received(PLAIN)
        await asyncio.sleep(0)
        sent.append(bytes(transport.written))
        (date,) = re.findall(rb"\r\nDate: ([^\r]+)\r\n", sent[0])
        assert parsedate_to_datetime(date.decode()).timestamp() == 1_764_000_000
        assert connection._fast_path is not None, "the connection stays on the fast path"
        await tracker.stop()

    asyncio.run(run())
    assert sent[0].startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("pieces", [[(PLAIN, False)], [(PLAIN, False), (PLAIN, False)], [(PLAIN + PLAIN, False)]])
def test_delayed_pixels_are_answered_alike(pieces: list[Piece]) -> None:
    async def run() -> tuple[Any, Any]:
        later = await exchange(pieces, (), fast=True, pixel_delay=0.02)
        return later, await exchange(pieces, (), fast=False)

    later, at_once = asyncio.run(run())
    assert later == at_once

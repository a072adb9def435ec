"""The tracker as readers, mail services and attackers see it: a real server, real sockets, a real spool."""

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from html.parser import HTMLParser
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from relay.events.event import Event
from relay.events.event import Kind as EventKind
from relay.events.event_line import decode_event
from relay.events.ports import StoreError
from relay.events.sink import EventSink
from relay.events.spool import Spool
from relay.http_tracker import Tracker
from relay.rewrite.tokens import Keyring, Kind, Token, new_key, parse_keyring, sign_token
from relay.tracker.canary import canary
from relay.tracker.link_blocks import Block, LinkBlocks
from relay.tracker.reader_events import KEPT
from relay.tracker.server import Limits
from tests.servers.waiting import PATIENCE, until

KEYS = parse_keyring([new_key(b"k" * 32, "k1")])

NOW = 1_764_000_000.5

QUEUE_ID = "0ABCDFGHJKLMNP"

TARGET = "https://shop.example/p?a=1&b=two%20words&c=%C3%BC&d=<>\"'{}|#frag"

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Store:
    """An event store in memory that can be down."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.down = False

    async def record(self, events: Sequence[Event], *, again: bool = False) -> Sequence[Event]:
        if self.down:
            raise StoreError("database is locked")
        self.events.extend(events)
        return events


@dataclass
class Answer:
    """A response as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) < 2, (name, found)
        return found[0] if found else None


@dataclass
class Served:
    """A running tracker with its sink and store."""

    tracker: Tracker
    sink: EventSink
    store: Store
    spool: Path
    keys: list[Keyring]
    checks: dict[str, bool]
    source: str = "127.0.0.1"
    open_writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.tracker.port, local_addr=(source, 0))
        self.open_writers.append(writer)
        return reader, writer

    async def exchange(self, data: bytes, *, end: bool = False) -> Answer:
        """Send octets and read one answer; `end` closes our side after sending."""
        reader, writer = await self.connect()
        writer.write(data)
        if end:
            writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
            headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:-2])]
            answer = Answer(int(head[0].split()[1]), headers, b"")
            if not data.startswith(b"HEAD"):
                answer.body = await reader.readexactly(int(answer.header("Content-Length") or 0))
        return answer

    async def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        fields = {"Host": "t.example", "User-Agent": FIREFOX, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body:
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return await self.exchange(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)

    async def events(self, count: int) -> list[Event]:
        """Return what the store has once there are so many events."""
        await until(lambda: len(self.store.events) >= count)
        return self.store.events


async def was_cut(reader: asyncio.StreamReader) -> bool:
    """Tell whether the other side ended the connection without an answer."""
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True


def spooled(folder: Path) -> list[Event]:
    """Return what lies in the spool, also when its file gets its last name meanwhile."""
    for file in folder.iterdir():
        for name in (file, file.with_name(file.name.removesuffix(".open"))):
            with suppress(FileNotFoundError):
                return list(map(decode_event, name.read_bytes().splitlines()))
    return []


Serve = Callable[..., Any]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Return a function that starts a tracker with the options given."""
    started: list[Served] = []

    async def start(store: Store | None = None, *, spool: Spool | None = None, **options: Any) -> Served:
        store = store or Store()
        keys, checks = [KEYS], {"store": True}
        sink = EventSink(store, spool or Spool(tmp_path), lambda events: None, gather=0.0, retry=0.02)
        await sink.start()
        tracker = Tracker(lambda: keys[0], sink, checks=lambda: checks, clock=lambda: NOW, **options)
        await tracker.start(("127.0.0.1",), 0)
        started.append(Served(tracker, sink, store, tmp_path, keys, checks))
        return started[-1]

    yield start
    for served in started:
        for writer in served.open_writers:
            writer.close()
        await served.tracker.stop()
        await served.sink.close()


def path(kind: Kind, target: str = "", recipient: int = 3) -> str:
    return f"/{kind}/{sign_token(KEYS, Token(kind, QUEUE_ID, recipient, target))}"


OPEN, CLICK, LEAVE = path(Kind.OPEN), path(Kind.CLICK, TARGET), path(Kind.UNSUBSCRIBE)

ONE_CLICK = b"List-Unsubscribe=One-Click"


async def test_the_pixel_is_a_gif_without_caching_and_an_open_is_recorded(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask(OPEN)
    assert answer.status == 200
    assert len(answer.body) == 43
    assert answer.body.startswith(b"GIF89a\x01\x00\x01\x00")
    assert answer.header("Content-Type") == "image/gif"
    assert answer.header("Cache-Control") == "no-store, no-cache, must-revalidate, max-age=0, private"
    assert (answer.header("Pragma"), answer.header("Expires")) == ("no-cache", "0")
    (event,) = await served.events(1)
    assert (event.kind, event.at, event.queue_id, event.number) == (EventKind.OPEN, NOW, QUEUE_ID, 3)
    identity = event.data["id"]
    assert isinstance(identity, str)
    assert re.fullmatch(r"[0-9a-f]{16}", identity)
    assert dict(event.data) == {"id": identity, "client": "127.0.0.1", "user_agent": FIREFOX}


async def test_a_click_leads_to_exactly_the_original_url_and_is_recorded(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask(CLICK)
    assert (answer.status, answer.header("Location"), answer.body) == (302, TARGET, b"")
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Referrer-Policy") == "no-referrer"
    assert answer.header("X-Robots-Tag") == "noindex, nofollow"
    assert answer.header("Set-Cookie") is None
    assert answer.header("Server") == "relay"
    (event,) = await served.events(1)
    assert (event.kind, event.data["target"]) == (EventKind.CLICK, TARGET)


@pytest.mark.parametrize(
    "target", ["https://a.example/%0d%0a", "HTTPS://UPPER.example/Q", "http://a.example?x=a%2Fb&&"]
)
async def test_no_url_is_normalised(serve: Serve, target: str) -> None:
    served = await serve()
    assert (await served.ask(path(Kind.CLICK, target))).header("Location") == target


async def test_a_target_with_line_ends_makes_no_header(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask(path(Kind.CLICK, "https://a.example/\r\nSet-Cookie: a=1\r\n\r\n<html>"))
    assert answer.header("Location") == "https://a.example/Set-Cookie:%20a=1<html>"
    assert answer.header("Set-Cookie") is None


async def test_a_signed_target_that_is_no_http_url_gets_no_redirect(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask(path(Kind.CLICK, "javascript:alert(1)"))
    assert (answer.status, answer.header("Location")) == (404, None)


async def test_the_longest_rewritten_url_fits(serve: Serve) -> None:
    served = await serve()
    target = "https://a.example/" + "p" * 8000
    assert (await served.ask(path(Kind.CLICK, target))).header("Location") == target


async def test_head_answers_the_same_without_a_body_and_counts_as_machine(serve: Serve) -> None:
    served = await serve()
    pixel, click = await served.ask(OPEN, "HEAD"), await served.ask(CLICK, "HEAD")
    assert (pixel.status, pixel.header("Content-Length")) == (200, "43")
    assert (click.status, click.header("Location")) == (302, TARGET)
    events = await served.events(2)
    assert [(event.data["machine"], event.data["reason"]) for event in events] == [(True, "HEAD")] * 2


async def test_machines_are_recorded_with_the_reason(serve: Serve) -> None:
    served = await serve()
    await served.ask(OPEN, User_Agent="curl/8.11.0" + "y" * 1000)
    (event,) = await served.events(1)
    agent = event.data["user_agent"]
    assert isinstance(agent, str)
    assert (event.data["reason"], len(agent), agent[:12]) == ("library", 512, "curl/8.11.0y")


async def test_every_altered_token_is_404_and_nothing_is_recorded(serve: Serve) -> None:
    served = await serve()
    base = f"http://127.0.0.1:{served.tracker.port}"
    async with aiohttp.ClientSession() as client:
        for whole in (OPEN, CLICK, LEAVE):
            for at in range(1, len(whole)):
                other = "A" if whole[at] != "A" else "B"
                for altered in (
                    whole[:at] + other + whole[at + 1 :],
                    whole[:at] + whole[at + 1 :],
                    whole[:at] + (whole[at] if at > 2 else "x") + whole[at:],
                ):
                    if altered.rstrip("-_") == whole.rstrip("-_"):
                        continue
                    async with client.get(URL(base + altered, encoded=True), allow_redirects=False) as answer:
                        assert (answer.status, "Location" in answer.headers) == (404, False), altered
    assert served.store.events == []
    assert served.sink.waiting == 0


async def test_a_token_of_another_kind_is_invalid(serve: Serve) -> None:
    served = await serve()
    tokens = {whole[1]: whole[3:] for whole in (OPEN, CLICK, LEAVE)}
    for kind in tokens:
        for other in tokens:
            answer = await served.ask(f"/{kind}/{tokens[other]}")
            assert (answer.status == 404) == (kind != other)


async def test_new_keys_are_valid_at_once_and_old_ones_while_configured(serve: Serve) -> None:
    served = await serve()
    fresh = parse_keyring([new_key(b"n" * 32, "k2")])
    served.keys[0] = Keyring(fresh.keys + KEYS.keys)
    assert (await served.ask(CLICK)).status == 302
    served.keys[0] = fresh
    assert (await served.ask(CLICK)).status == 404


async def test_an_added_query_changes_nothing(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask(CLICK + "?url=https://evil.example/&fbclid=x")
    assert answer.header("Location") == TARGET


async def test_what_programs_do_to_links_on_the_way_changes_nothing(serve: Serve) -> None:
    served = await serve()
    token = "".join(f"%{ord(one):02X}" if one in "-_Aa" else one for one in CLICK[3:])
    for changed in (f"/%63/{token}", f"//c//{CLICK[3:]}", f"{CLICK}%3E.", f"{CLICK}&utm_source=x", f"{CLICK}_%29"):
        answer = await served.ask(changed)
        assert (answer.status, answer.header("Location")) == (302, TARGET), changed
    assert (await served.ask(OPEN + ".gif")).status == 200
    assert (await served.ask(LEAVE + "%2C", "POST")).status == 200


async def test_the_absolute_form_of_a_proxy_redirects_to_the_same_target(serve: Serve) -> None:
    served = await serve()
    assert (await served.ask("http://t.example" + CLICK)).header("Location") == TARGET
    assert (await served.ask("http://evil.example/")).status == 404


async def test_get_shows_a_page_and_does_not_unsubscribe(serve: Serve) -> None:
    served = await serve()
    page = await served.ask(LEAVE)
    assert page.status == 200
    assert (await served.ask(LEAVE, "HEAD")).status == 200
    assert page.header("Content-Type") == "text/html; charset=utf-8"
    assert b'<form method="post">' in page.body
    await served.ask(OPEN)
    assert [event.kind for event in await served.events(1)] == [EventKind.OPEN]


async def test_the_page_loads_nothing_and_its_style_is_the_one_allowed(serve: Serve) -> None:
    page = await (await serve()).ask(LEAVE)
    policy = page.header("Content-Security-Policy") or ""
    style = page.body.partition(b"<style>")[2].partition(b"</style>")[0]
    assert f"style-src 'sha256-{b64encode(sha256(style).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none';")
    assert b"<script" not in page.body
    assert b"://" not in page.body
    assert QUEUE_ID.encode() not in page.body


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", ONE_CLICK),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
        ),
    ],
)
async def test_one_click_unsubscribes(serve: Serve, content_type: str, body: bytes) -> None:
    served = await serve()
    answer = await served.ask(LEAVE, "POST", body, Content_Type=content_type)
    assert (answer.status, answer.body) == (200, b"Unsubscribed.\n")
    (event,) = await served.events(1)
    assert (event.kind, event.number, event.data["by"]) == (EventKind.UNSUBSCRIBE, 3, "one-click")


class Form(HTMLParser):
    """What the page's form sends."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.method = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.method = values["method"]
            assert "action" not in values
        elif tag == "input":
            self.fields[values["name"]] = values["value"]


async def test_the_button_of_the_page_unsubscribes(serve: Serve) -> None:
    served = await serve()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{served.tracker.port}") as browser:
        async with browser.get(LEAVE) as page:
            form = Form()
            form.feed(await page.text())
        assert form.fields["List-Unsubscribe"] == "One-Click"
        async with browser.request(form.method, LEAVE, data=form.fields, headers={"Accept": "text/html"}) as done:
            assert (done.status, done.content_type) == (200, "text/html")
            assert "You are unsubscribed" in await done.text()
    (event,) = await served.events(1)
    assert (event.kind, event.data["by"]) == (EventKind.UNSUBSCRIBE, "page")


async def test_an_unsubscribe_is_on_disk_before_it_is_answered_though_the_store_is_down(serve: Serve) -> None:
    served = await serve()
    served.store.down = True
    assert (await served.ask(LEAVE, "POST", ONE_CLICK)).status == 200
    assert [event.kind for event in spooled(served.spool)] == [EventKind.UNSUBSCRIBE]
    served.store.down = False
    assert [event.kind for event in await served.events(1)] == [EventKind.UNSUBSCRIBE]


async def test_an_unsubscribe_that_cannot_be_saved_is_not_confirmed(serve: Serve, tmp_path: Path) -> None:
    served = await serve(spool=Spool(tmp_path, total_bytes=0))
    assert (await served.ask(LEAVE, "POST", ONE_CLICK)).status == 503
    page = await served.ask(LEAVE, "POST", ONE_CLICK, Accept="text/html")
    assert (page.status, b"Please try again" in page.body) == (503, True)


async def test_while_the_store_is_down_links_work_and_events_arrive_later_exactly_once(serve: Serve) -> None:
    served = await serve()
    served.store.down = True
    clicks = [path(Kind.CLICK, TARGET, recipient) for recipient in range(100)]
    answers = await asyncio.gather(*map(served.ask, clicks))
    assert {answer.header("Location") for answer in answers} == {TARGET}
    await until(lambda: served.sink.waiting == 0 and not served.sink.store_answers)
    assert served.store.events == []
    served.store.down = False
    await served.events(100)
    await until(lambda: list(served.spool.iterdir()) == [])
    assert sorted(event.number for event in served.store.events) == list(range(100))
    assert len({event.data["id"] for event in served.store.events}) == 100


@pytest.mark.parametrize(
    ("url", "allowed"),
    [(OPEN, "GET, HEAD"), (CLICK, "GET, HEAD"), ("/healthz", "GET, HEAD"), (LEAVE, "GET, HEAD, POST")],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods_are_405_with_what_is_allowed(serve: Serve, url: str, allowed: str, method: str) -> None:
    if method in allowed:
        return
    served = await serve()
    answer = await served.ask(url, method, X_Secret="x-secret")
    assert (answer.status, answer.header("Allow"), answer.header("Location")) == (405, allowed, None)
    assert b"x-secret" not in answer.body
    assert served.sink.waiting == 0


async def test_health_shows_the_checks(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask("/healthz")
    spool = {"files": 0, "octets": 0, "age": 0.0}
    assert (answer.status, json.loads(answer.body)) == (
        200,
        {"status": "ok", "checks": {"store": True}, "spool": spool},
    )
    served.checks["store"] = False
    answer = await served.ask("/healthz")
    failing = {"status": "failing", "checks": {"store": False}, "spool": spool}
    assert (answer.status, json.loads(answer.body)) == (503, failing)


@pytest.mark.parametrize(
    "url", ["/", "/c", "/c/", "/o/", "//c/x", "/x", "/..%2f..%2fetc/passwd", "/c/../o", "/static", "/%3Cscript%3E"]
)
async def test_everything_else_is_404_and_repeats_nothing(serve: Serve, url: str) -> None:
    answer = await (await serve()).ask(url)
    assert (answer.status, answer.header("Location")) == (404, None)
    assert url == "/" or url.encode() not in answer.body


async def test_robots_are_disallowed(serve: Serve) -> None:
    answer = await (await serve()).ask("/robots.txt")
    assert (answer.status, answer.body) == (200, b"User-agent: *\nDisallow: /\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 13_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100 + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET /<script>alert(1)</script>\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, 400),
    ],
)
@pytest.mark.parametrize("end", [False, True], ids=["open", "ended"])
async def test_malformed_requests_get_the_error_texts_of_the_tracker(
    serve: Serve, request_: bytes, status: int, end: bool
) -> None:
    served = await serve()
    answer = await served.exchange(request_, end=end)
    assert (answer.status, answer.header("Connection")) == (status, "close")
    assert answer.header("Server") == "relay"
    assert b"script" not in answer.body
    assert (await served.ask(CLICK)).status == 302


@pytest.mark.parametrize("declared", [True, False], ids=["length", "chunked"])
async def test_a_long_body_is_413_and_does_not_unsubscribe(serve: Serve, declared: bool) -> None:
    served = await serve()
    head = f"POST {LEAVE} HTTP/1.1\r\nHost: x\r\n".encode()
    if declared:
        answer = await served.exchange(head + b"Content-Length: 5000\r\n\r\n")
    else:
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        answer = await served.exchange(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 5)
    assert answer.status == 413
    assert served.sink.waiting == 0
    assert list(served.spool.iterdir()) == []


async def test_a_client_that_expects_100_continue_gets_it(serve: Serve) -> None:
    served = await serve()
    reader, writer = await served.connect()
    writer.write(f"POST {LEAVE} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 26\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(ONE_CLICK)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")


async def test_a_client_that_closes_its_side_gets_its_answers(serve: Serve) -> None:
    served = await serve()
    reader, writer = await served.connect()
    writer.write(f"GET {CLICK} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 3)
    writer.write_eof()
    async with asyncio.timeout(PATIENCE):
        assert (await reader.read()).count(b"HTTP/1.1 302 ") == 3
    await until(lambda: served.tracker.connections == 0)


async def test_requests_on_one_connection_are_answered_in_order(serve: Serve) -> None:
    served = await serve()
    reader, writer = await served.connect()
    writer.write(b"".join(f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for url in (OPEN, CLICK, "/x")))
    writer.write(f"GET {CLICK} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        assert re.findall(rb"HTTP/1\.1 (\d+)", await reader.read()) == [b"200", b"302", b"404", b"302"]


SLOW = {
    "says nothing": b"",
    "never ends its header": b"GET / HTTP/1.1\r\nHost: x\r\nX-a: ",
    "never ends its body": f"POST {LEAVE} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode(),
    "is idle after an answer": f"GET {CLICK} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
}


@pytest.mark.parametrize("begun", SLOW.values(), ids=SLOW.keys())
async def test_a_slow_client_is_disconnected(serve: Serve, begun: bytes) -> None:
    served = await serve(limits=Limits(answer_timeout=0.2))
    reader, writer = await served.connect()
    writer.write(begun)

    async def trickle() -> None:
        while begun and b"Content-Length" not in begun and b"\r\n\r\n" not in begun:
            writer.write(b"b")
            await asyncio.sleep(0.02)

    trickling = asyncio.create_task(trickle())
    async with asyncio.timeout(PATIENCE):
        try:
            while await reader.read(65536):
                pass
        except ConnectionResetError:
            pass
    trickling.cancel()
    await until(lambda: served.tracker.connections == 0)
    assert (await served.ask(CLICK)).status == 302


async def test_a_client_that_never_reads_is_disconnected(serve: Serve) -> None:
    served = await serve(limits=Limits(answer_timeout=0.3))
    reader, writer = await served.connect()
    reader._transport.pause_reading()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                writer.write(f"GET {LEAVE} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 50)
                await writer.drain()
    except ConnectionError:
        pass
    await until(lambda: served.tracker.connections == 0)


async def test_too_many_connections_of_an_address_close_its_oldest_only(serve: Serve) -> None:
    served = await serve(limits=Limits(connections_per_client=5))
    other = await served.connect("127.0.0.2")
    mine = [await served.connect() for _ in range(20)]
    await until(lambda: served.tracker.connections == 6)
    async with asyncio.timeout(PATIENCE):
        for reader, _ in mine[:15]:
            assert await was_cut(reader)
    for reader, writer in (other, *mine[15:]):
        writer.write(f"GET {CLICK} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 302")


async def test_too_many_connections_in_all_close_the_longest_waiting(serve: Serve) -> None:
    served = await serve(limits=Limits(connections=3))
    clients = [await served.connect(f"127.0.0.{number}") for number in range(2, 5)]
    await until(lambda: served.tracker.connections == 3)
    reader, writer = clients[0]
    writer.write(f"GET {CLICK} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"\r\n\r\n")
    assert (await served.ask(CLICK)).status == 302
    assert served.tracker.connections == 3
    async with asyncio.timeout(PATIENCE):
        assert await was_cut(clients[1][0])
    writer.write(f"GET {CLICK} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 302")


async def test_behind_a_trusted_proxy_the_client_is_in_forwarded_for(serve: Serve) -> None:
    served = await serve(trusted_proxies=[ip_network("127.0.0.0/8")])
    await served.ask(OPEN, X_Forwarded_For="6.6.6.6, 203.0.113.7")
    assert [event.data["client"] for event in await served.events(1)] == ["203.0.113.7"]


async def test_forwarded_for_of_other_clients_is_ignored(serve: Serve) -> None:
    served = await serve()
    await served.ask(OPEN, X_Forwarded_For="203.0.113.7")
    assert [event.data["client"] for event in await served.events(1)] == ["127.0.0.1"]


async def test_a_trusted_proxy_has_no_connection_limit(serve: Serve) -> None:
    served = await serve(trusted_proxies=[ip_network("127.0.0.1")], limits=Limits(connections_per_client=2))
    for _ in range(10):
        await served.connect()
    await until(lambda: served.tracker.connections == 10)


PROXY_HEADER = b"PROXY TCP4 203.0.113.9 192.0.2.1 56324 80\r\n"


async def test_with_proxy_protocol_the_client_is_in_its_header(serve: Serve) -> None:
    served = await serve(trusted_proxies=[ip_network("127.0.0.1")], proxy_protocol=True)
    for target in (OPEN, CLICK):
        request = f"GET {target} HTTP/1.1\r\nHost: t.example\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n".encode()
        assert (await served.exchange(PROXY_HEADER + request)).status < 400
    assert [event.data["client"] for event in await served.events(2)] == ["203.0.113.9"] * 2


async def test_an_http_proxy_behind_the_header_is_read_if_it_is_trusted(serve: Serve) -> None:
    networks = [ip_network("127.0.0.1"), ip_network("203.0.113.0/24")]
    served = await serve(trusted_proxies=networks, proxy_protocol=True)
    request = f"GET {OPEN} HTTP/1.1\r\nHost: t.example\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n".encode()
    await served.exchange(PROXY_HEADER + request)
    assert [event.data["client"] for event in await served.events(1)] == ["6.6.6.6"]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: t.example\r\n\r\n", PROXY_HEADER[1:]])
async def test_with_proxy_protocol_a_connection_without_a_header_is_closed(serve: Serve, data: bytes) -> None:
    lines: list[dict[str, object]] = []
    served = await serve(
        trusted_proxies=[ip_network("127.0.0.1")],
        proxy_protocol=True,
        log=lambda name, **fields: lines.append({"name": name, **fields}),
    )
    reader, writer = await served.connect()
    writer.write(data)
    async with asyncio.timeout(PATIENCE):
        assert await was_cut(reader)
    ((line),) = lines
    assert (line["name"], line["client"], line["listener"]) == ("proxy.refused", "127.0.0.1", "tracker")
    assert served.tracker.connections == 0


async def test_a_blocked_link_answers_410_with_a_page_and_its_story_says_so(serve: Serve) -> None:
    blocks = [LinkBlocks()]
    served = await serve(blocks=lambda: blocks[0])
    assert (await served.ask(CLICK)).status == 302
    blocks[0] = LinkBlocks([Block("host", "shop.example")])
    answer = await served.ask(CLICK)
    assert (answer.status, answer.header("Location"), answer.header("Cache-Control")) == (410, None, "no-store")
    assert b"This link was disabled" in answer.body
    assert b"shop.example" not in answer.body
    assert (await served.ask(CLICK, "HEAD")).status == 410
    assert (await served.ask(path(Kind.CLICK, "https://other.example/"))).status == 302
    blocks[0] = LinkBlocks()
    assert (await served.ask(CLICK)).status == 302

    events = await served.events(5)
    assert [event.data.get("blocked") for event in events] == [
        None,
        "host shop.example",
        "host shop.example",
        None,
        None,
    ]
    assert events[1].data["target"] == TARGET


async def test_a_canary_is_never_blocked(serve: Serve) -> None:
    served = await serve(blocks=lambda: LinkBlocks([Block("host", "t.example")]))
    sent = canary(KEYS, "https://t.example", 7)
    assert (await served.ask(URL(sent.link).path)).status == 302


async def test_a_flood_of_requests_makes_few_events(serve: Serve) -> None:
    """On the fast path and beside it: all readers get their answers."""
    folded: list[int] = []
    served = await serve(on_folded=folded.append)
    for url, fields in ((OPEN, {}), (OPEN, {"Connection": "close"}), (CLICK, {})):
        answers = await asyncio.gather(*(served.ask(url, **fields) for _ in range(30)))
        assert {answer.status for answer in answers} == {302 if url is CLICK else 200}
    await served.events(2 * KEPT)
    await served.tracker.stop()
    await served.sink.close()
    assert len(folded) == 90 - 2 * KEPT
    kinds = [(event.kind, event.data.get("count")) for event in served.store.events]
    assert kinds.count((EventKind.OPEN, None)) == kinds.count((EventKind.CLICK, None)) == KEPT
    assert sorted(count for _, count in kinds if count) == [30 - KEPT, 60 - KEPT]
    assert all(event.data["machine"] for event in served.store.events if "count" in event.data)


async def test_an_unsubscribe_is_written_a_few_times_and_always_confirmed(serve: Serve) -> None:
    served = await serve()
    for _ in range(KEPT + 10):
        assert (await served.ask(LEAVE, "POST", ONE_CLICK)).status == 200
    assert (await served.ask(path(Kind.UNSUBSCRIBE, recipient=4), "POST", ONE_CLICK)).status == 200
    await served.events(KEPT + 1)
    await served.tracker.stop()
    await served.sink.close()
    assert [event.number for event in served.store.events] == [3] * KEPT + [4]


async def test_an_unsubscribe_that_was_not_saved_does_not_count(serve: Serve, tmp_path: Path) -> None:
    served = await serve(spool=Spool(tmp_path / "spool", total_bytes=10))
    for _ in range(KEPT + 2):
        assert (await served.ask(LEAVE, "POST", ONE_CLICK)).status == 503


async def test_stopping_ends_idle_connections_and_frees_the_port(serve: Serve) -> None:
    served = await serve()
    reader, _ = await served.connect()
    await until(lambda: served.tracker.connections == 1)
    port = served.tracker.port
    async with asyncio.timeout(PATIENCE):
        await served.tracker.stop()
        assert await reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await served.tracker.start(("127.0.0.1",), port)
    assert (await served.ask(CLICK)).status == 302

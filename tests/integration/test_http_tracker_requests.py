"""What the tracker answers to any request: methods, other paths, malformed requests, and bodies."""

import asyncio
import json
import re

import pytest

from tests.servers.tracker_harness import CLICK, LEAVE, ONE_CLICK, OPEN, Serve, serve
from tests.servers.waiting import PATIENCE, until

__all__ = ["serve"]


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

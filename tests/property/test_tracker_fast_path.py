"""The fast path answers and records exactly as aiohttp does, for any octets in any pieces."""

import asyncio
import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.http_tracker import Tracker
from relay.listening_sockets import listen
from relay.tracker.fast_path import FIELDS, MAX_REQUEST, parse_fast_request
from relay.tracker.server import MAX_FIELDS
from tests.property.tracker_exchange import MemoryTransport, Sink, both, exchange
from tests.property.tracker_requests import (
    BLOCKED,
    CLICK,
    KEYS,
    ODD,
    PLAIN,
    PLAIN_CLICK,
    Piece,
    altered,
    conversations,
    requests,
)


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
    if parse_fast_request(octets, "192.0.2.7") is None:
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
    assert parse_fast_request(PLAIN, "192.0.2.7") is not None
    assert parse_fast_request(PLAIN.replace(b"*/*", b"x" * (MAX_REQUEST - len(PLAIN) + 3)), "192.0.2.7") is not None
    assert parse_fast_request(PLAIN.replace(b"*/*", b"x" * (MAX_REQUEST - len(PLAIN) + 4)), "192.0.2.7") is None


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

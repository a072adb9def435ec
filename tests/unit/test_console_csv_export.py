"""Lists as files: an answer that has begun ends early when the store fails, and has all headers."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from unittest.mock import Mock

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.console.access import AccessCheck, access_middleware, secure
from relay.console.csv_export import Row, csv_answer
from relay.console.layout import Layout
from relay.console.routes import page_errors
from relay.events.ports import StoreError
from tests.servers.waiting import PATIENCE


async def broken() -> AsyncIterator[Iterable[Row]]:
    yield [("a",)]
    raise StoreError("disk I/O error")


async def test_a_store_that_fails_within_a_file_ends_the_connection_without_a_second_answer() -> None:
    async def show(request: web.Request) -> web.StreamResponse:
        return await csv_answer(request, "list", ["name"], broken())

    layout = Mock(spec_set=Layout)
    layout.error.return_value = web.Response(status=503, text="second")
    app = web.Application(middlewares=[access_middleware(AccessCheck()), page_errors(layout)])
    app.on_response_prepare.append(secure)
    app.router.add_get("/list.csv", show)
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /list.csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read = b""
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionResetError):
                while piece := await reader.read(65536):
                    read += piece
        writer.close()
    assert read.count(b"HTTP/1.1 ") == 1
    assert read.startswith(b"HTTP/1.1 200 ")
    assert not read.endswith(b"0\r\n\r\n")
    layout.error.assert_not_called()


async def test_a_file_has_the_headers_of_all_answers() -> None:
    async def rows() -> AsyncIterator[Iterable[Row]]:
        yield [("a",)]

    async def show(request: web.Request) -> web.StreamResponse:
        return await csv_answer(request, "list", ["name"], rows())

    app = web.Application(middlewares=[access_middleware(AccessCheck())])
    app.on_response_prepare.append(secure)
    app.router.add_get("/list.csv", show)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession() as client,
        client.get(server.make_url("/list.csv")) as answer,
    ):
        assert await answer.text() == "name\r\na\r\n"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Server"] == "relay"
        assert answer.headers["Referrer-Policy"] == "no-referrer"

"""Lists as files: an answer that has begun ends early when the store fails, and has all headers."""

from collections.abc import AsyncIterator, Iterable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.console.access import AccessCheck, access_middleware, secure
from relay.console.csv_export import Row, csv_answer
from relay.events.ports import StoreError


async def broken() -> AsyncIterator[Iterable[Row]]:
    yield [("a",)]
    raise StoreError("disk I/O error")


async def test_a_store_that_fails_within_a_file_ends_the_connection() -> None:
    async def show(request: web.Request) -> web.StreamResponse:
        return await csv_answer(request, "list", ["name"], broken())

    app = web.Application(middlewares=[access_middleware(AccessCheck())])
    app.on_response_prepare.append(secure)
    app.router.add_get("/list.csv", show)
    async with TestServer(app) as server, aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientError):
            async with client.get(server.make_url("/list.csv")) as answer:
                await answer.read()


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

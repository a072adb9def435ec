"""Unexpected errors of handlers: the answer has the form of other errors, and the log has the reason and the id."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import BaseModel

from relay.admin.server import AdminServer
from relay.api.access import Access
from relay.api.operations import PREFIX, Operation, Route
from relay.api.request_log import FAILED, RequestLog
from relay.api.server import api_application
from relay.api.vendors import mailgun, postmark_routes, sendgrid_routes
from relay.api.vendors.routes import VendorRoute, table
from relay.config.secret_hash import hash_secret
from relay.config.settings import Settings
from relay.listening_sockets import listen
from tests.contract.values import NOW

VENDORS: tuple[tuple[str, Any], ...] = (
    ("mailgun", mailgun.failed),
    ("sendgrid", sendgrid_routes.failed),
    ("postmark", postmark_routes.failed),
)


SETTINGS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test"},
        "credentials": {"reader": {"secret_hash": hash_secret("x", bytes(16)), "scopes": ["read"]}},
    }
)


class Empty(BaseModel):
    """An answer."""


async def broken(_: web.Request) -> web.Response:
    raise ZeroDivisionError("a fault of this handler")


async def cut(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"begin")
    raise ZeroDivisionError("a fault of this handler")


def route(path: str, handler: Callable[[web.Request], Any]) -> Route:
    return Route(Operation(method="get", path=f"{PREFIX}{path}", summary="x", scope="read", answer=Empty), handler)


@pytest.fixture
async def api() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    lines: list[dict[str, Any]] = []

    async def authenticate(*_: object) -> str:
        return "reader"

    access = Access(lambda: SETTINGS, authenticate, lambda: NOW)
    vendors = [
        one
        for name, failed in VENDORS
        for one in table(access, [VendorRoute("GET", f"/{name}", "read", broken)], failed)
    ]
    app = api_application(access, [route("/broken", broken), route("/cut", cut)], vendors=vendors)
    RequestLog(lambda event, **fields: lines.append({"event": event, **fields})).install(app)
    server = AdminServer(app)
    await server.start_tcp(await listen(("127.0.0.1",), 0))
    yield f"http://127.0.0.1:{server.port}", lines
    await server.stop()


async def get(url: str) -> tuple[int, str, Any, str]:
    login = {"Authorization": "Bearer reader:x", "X-Request-Id": "mine"}
    async with aiohttp.ClientSession() as client, client.get(url, headers=login) as answer:
        return answer.status, answer.content_type, await answer.json(content_type=None), answer.headers["X-Request-Id"]


async def test_an_unexpected_error_is_a_problem_with_an_id_that_the_log_has(api: Any) -> None:
    url, lines = api
    assert await get(f"{url}{PREFIX}/broken") == (
        500,
        "application/problem+json",
        {"type": "about:blank", "title": "Internal Server Error", "status": 500, "detail": FAILED},
        "mine",
    )
    failed, request = lines
    assert (failed["event"], failed["request"]) == ("api.failed", "mine")
    assert "ZeroDivisionError: a fault of this handler" in failed["error"]
    assert (request["event"], request["status"], request["credential"]) == ("api.request", 500, "reader")


@pytest.mark.parametrize(
    ("vendor", "expected"),
    [
        ("mailgun", {"message": FAILED}),
        ("sendgrid", {"errors": [{"message": FAILED, "field": None, "help": None}]}),
        ("postmark", {"ErrorCode": 100, "Message": FAILED}),
    ],
)
async def test_the_routes_of_a_service_answer_in_its_form(api: Any, vendor: str, expected: Any) -> None:
    url, lines = api
    status, kind, found, request = await get(f"{url}/{vendor}")
    assert (status, kind, found, request) == (500, "application/json", expected, "mine")
    assert [one["event"] for one in lines] == ["api.failed", "api.request"]


async def test_an_error_within_an_answer_ends_the_connection(api: Any) -> None:
    url, lines = api
    with pytest.raises(aiohttp.ClientPayloadError):
        await get(f"{url}{PREFIX}/cut")
    assert [one["event"] for one in lines] == ["api.failed", "api.request"]


async def test_faults_of_a_request_are_no_failures(api: Any) -> None:
    url, lines = api
    assert (await get(f"{url}/nothing"))[0] == 404
    assert [(one["event"], one["status"]) for one in lines] == [("api.request", 404)]

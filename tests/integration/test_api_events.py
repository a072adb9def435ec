"""The feed over HTTP: pages, streams, logins and what a credential may see."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from relay.admin.server import AdminServer
from relay.api.access import Access
from relay.api.events import EventRoutes
from relay.api.server import api_application
from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from relay.config.settings import Settings
from relay.events.event import Event, Kind
from relay.listening_sockets import listen
from relay.storage.sqlite.store import SqliteStore
from relay.submission.credential_keys import find_credential
from tests.contract.values import NOW
from tests.ports import free_port
from tests.servers.waiting import PATIENCE, until
from tests.servers.webhook_harness import enqueue, invoice

KEY = new_key("keyed", b"k" * 32)

SETTINGS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test"},
        "credentials": {
            "reader": {"secret_hash": hash_secret("secret", b"s" * 16), "scopes": ["read"]},
            "keyed": {"secret_hash": hash_secret(KEY, b"v" * 16), "scopes": ["read"]},
            "sender": {"secret_hash": hash_secret("secret", b"t" * 16)},
            "shop": {"secret_hash": hash_secret("secret", b"u" * 16), "scopes": ["send", "read"]},
        },
        "identities": {"shop@acme.test": {"credentials": ["shop"]}},
    }
)


class Api:
    """The API over a store, and a client with a login."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.port = free_port()
        self.woken: set[asyncio.Event] = set()
        access = Access(lambda: SETTINGS, authenticate, lambda: NOW)

        self.routes = EventRoutes(store.feed, self.listening, self.woken.discard)
        self.server = AdminServer(api_application(access, self.routes.routes(), self.routes.close))

    def listening(self) -> asyncio.Event:
        made = asyncio.Event()
        self.woken.add(made)
        return made

    async def record(self, *kinds: Kind, queue_id: str = "Q1", **data: Any) -> None:
        events = [Event(kind, NOW, queue_id, 0, data={"id": f"{kind}{data}", **data}) for kind in kinds]
        await self.store.events.record(events)
        for one in self.woken:
            one.set()

    async def get(self, query: str = "", login: str = "reader:secret", path: str = "/api/v1/events") -> tuple[int, Any]:
        headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
        url = f"http://127.0.0.1:{self.port}{path}{query}"
        async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


async def authenticate(settings: Settings, username: str, secret: str) -> str | None:
    found = find_credential(settings, username, secret)
    return found.credential if found else None


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    await enqueue(store, invoice())
    made = Api(store)
    await made.server.start_tcp(await listen(("127.0.0.1",), made.port))
    yield made
    await made.server.stop()
    await store.close()


async def test_pages_follow_each_other_and_the_end_is_a_position_too(api: Api) -> None:
    await api.record(Kind.DELIVERED, Kind.OPEN, Kind.CLICK)
    status, page = await api.get("?limit=3")
    assert (status, [one["type"] for one in page["events"]]) == (
        200,
        ["message.created", "message.delivered", "message.open"],
    )
    assert page["more"] is True
    _, rest = await api.get(f"?limit=3&after={page['next']}")
    assert [one["type"] for one in rest["events"]] == ["message.click"]
    assert rest["more"] is False
    _, nothing = await api.get(f"?after={rest['next']}")
    assert (nothing["events"], nothing["next"]) == ([], rest["next"])
    await api.record(Kind.REPLY)
    _, new = await api.get(f"?after={rest['next']}")
    assert [one["type"] for one in new["events"]] == ["message.reply"]
    assert new["events"][0]["data"]["metadata"] == {"invoice": "1042"}


async def test_filters_and_the_subject_are_those_of_webhooks(api: Api) -> None:
    await enqueue(api.store, invoice("Q2", campaign="spring", tags=("news",)))
    await api.record(Kind.OPEN, queue_id="Q2", machine=True)
    await api.record(Kind.OPEN, Kind.CLICK, queue_id="Q2")
    for query, count in (
        ("?kinds=open,click", 3),
        ("?kinds=open&machines=none", 1),
        ("?campaign=spring", 4),
        ("?campaign=spring&campaign=other", 4),
        ("?tag=news&type=transactional", 0),
        ("?domain=other.test", 0),
        ("?identity=Billing@Acme.Test", 5),
        ("?since=2027-01-15T08:00:01Z", 0),
        ("?since=2027-01-15T07:59:59Z", 5),
        ("?after=now", 0),
    ):
        status, page = await api.get(query)
        assert (status, len(page["events"])) == (200, count), query
    _, page = await api.get("?kinds=click&subject=yes")
    assert page["events"][0]["data"]["subject"] == "Invoice 1042"


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("?limit=0", 400, "1 to 1000"),
        ("?limit=9999999999999", 400, "1 to 1000"),
        ("?after=x", 400, "is not a position"),
        ("?after=0-999999", 410, "another database"),
        ("?kinds=opened", 400, "known are"),
        ("?type=all", 400, "one of any"),
        ("?since=yesterday", 400, "is not a time"),
        ("?colour=red", 400, "unknown parameter colour"),
    ],
)
async def test_a_wrong_parameter_is_a_problem_that_says_what_would_be_right(
    api: Api, query: str, status: int, said: str
) -> None:
    got, found = await api.get(query)
    assert (got, found["status"]) == (status, status)
    assert said in found["detail"]


@pytest.mark.parametrize(
    ("login", "status"), [("", 401), ("reader:wrong", 401), ("nobody:secret", 401), ("sender:secret", 403)]
)
async def test_a_login_with_the_scope_is_needed(api: Api, login: str, status: int) -> None:
    got, found = await api.get(login=login)
    assert (got, found["status"]) == (status, status)


async def test_a_credential_of_an_identity_sees_the_events_of_its_identity_only(api: Api) -> None:
    policy = replace(invoice().policy, identity="shop@acme.test")
    await enqueue(api.store, invoice("Q2", policy=policy))
    await api.record(Kind.OPEN, queue_id="Q2")
    await api.record(Kind.OPEN, queue_id="Q1")
    _, page = await api.get(login="shop:secret")
    assert {one["data"]["queue_id"] for one in page["events"]} == {"Q2"}
    _, page = await api.get("?identity=billing@acme.test", login="shop:secret")
    assert page["events"] == []


async def test_a_bearer_token_is_name_and_secret_or_a_key(api: Api) -> None:
    url = f"http://127.0.0.1:{api.port}/api/v1/events"
    for token in ("reader:secret", KEY):
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as answer:
            assert answer.status == 200


async def test_a_stream_goes_on_and_continues_after_the_last_id(api: Api) -> None:
    headers = {"Authorization": "Bearer reader:secret", "Accept": "text/event-stream"}
    url = f"http://127.0.0.1:{api.port}/api/v1/events"

    async def read(count: int, more: dict[str, str]) -> list[tuple[str, str, Any]]:
        found: list[tuple[str, str, Any]] = []
        async with aiohttp.ClientSession() as client, client.get(url, headers=headers | more) as answer:
            assert answer.content_type == "text/event-stream"
            async with asyncio.timeout(PATIENCE):
                while len(found) < count:
                    lines = (await answer.content.readuntil(b"\n\n")).decode().splitlines()
                    fields = dict(line.split(": ", 1) for line in lines if line)
                    if "data" in fields:
                        found.append((fields["id"], fields["event"], json.loads(fields["data"])))
        return found

    reading = asyncio.create_task(read(3, {}))
    await until(lambda: api.woken)
    await api.record(Kind.DELIVERED)
    await api.record(Kind.OPEN)
    found = await reading
    assert [one[1] for one in found] == ["message.created", "message.delivered", "message.open"]
    assert found[1][2]["data"]["recipient"] == "ada@reader.test"
    (again,) = await read(1, {"Last-Event-ID": found[1][0]})
    assert again[1] == "message.open"
    await until(lambda: not api.routes.streams)


async def test_the_description_fits_the_answers(api: Api) -> None:
    await api.record(*Kind)
    status, described = await api.get(login="", path="/api/openapi.json")
    assert (status, described["openapi"]) == (200, "3.1.0")
    operation = described["paths"]["/api/v1/events"]["get"]
    reference = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    _, page = await api.get()
    Draft202012Validator({**described, "$ref": reference}).validate(page)
    for event in page["events"]:
        own = {**described, "$ref": f"#/components/schemas/{event['type']}"}
        Draft202012Validator(own).validate(event)
    assert {one["name"] for one in operation["parameters"]} >= {"after", "kinds", "limit"}


async def test_other_paths_and_methods_are_problems_too(api: Api) -> None:
    status, found = await api.get(path="/api/v1/nothing")
    assert (status, found["title"]) == (404, "Not Found")
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"http://127.0.0.1:{api.port}/api/v1/events") as answer,
    ):
        assert (answer.status, answer.content_type) == (405, "application/problem+json")
        assert "GET" in answer.headers["Allow"]

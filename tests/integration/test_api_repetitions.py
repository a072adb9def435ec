"""A repeated request does nothing twice: a table with an entry for every route that changes something."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio

from relay.api.all_operations import OPERATIONS
from relay.api.operations import PREFIX
from relay.api.vendors.services import services
from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.changing_requests import CASES, CODE, VENDOR_CASES, Case
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.vendor_client import VendorAnswer, VendorClient
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY, LOST = new_key("app", bytes(range(32))), new_key("lost", bytes(range(1, 33)))

ALL = '["send", "read", "suppressions", "webhooks", "manage"]'


def configuration(port: int) -> str:
    return f"""
[api]
address = "127.0.0.1:{port}"
requests_per_minute = 60000
[credentials.app]
secret_hash = "{hash_secret(KEY, bytes(16))}"
scopes = {ALL}
[credentials.lost]
secret_hash = "{hash_secret(LOST, bytes(16))}"
domains = ["acme.test"]
[domains."acme.test".dkim]
selectors = ["s1", "s2", "s3"]
"""


SUBMITTED = re.compile(r'"SubmittedAt": "[^"]*"')
"""When a request to Postmark was handled."""


@dataclass(frozen=True, slots=True)
class World:
    sink: Sink
    client: VendorClient

    async def get(self, path: str) -> Any:
        answer = await self.client.request("GET", f"{PREFIX}{path}")
        assert answer.status == 200, answer.text
        return answer.json

    async def state(self, queue_id: str) -> Any:
        """Return what routes change: messages, entries of one of them, lists, senders, pauses, webhooks, keys.

        Left out are the times of suppressions, which are those of the last request, and what tests and DNS find.
        """
        found = await self.get("/messages?limit=100")
        entries = (await self.get(f"/queue?queue_id={queue_id or 'none'}"))["entries"]
        hooks = (await self.get("/webhooks"))["webhooks"]
        identities = (await self.get("/identities"))["identities"]
        suppressed = (await self.get("/suppressions?limit=1000"))["suppressions"]
        settings = [await self.get(f"/identities/{one['address']}/settings") for one in identities]
        return {
            "messages": sorted(one["queue_id"] for one in found["messages"]),
            "entries": [(one["number"], one["state"], one["release_at"]) for one in entries],
            "suppressions": [{**one, "created_at": ""} for one in suppressed],
            "unsubscribes": await self.get("/unsubscribes?limit=1000"),
            "identities": [(one["address"], one["paused_since"], one["verified"]) for one in identities],
            "settings": settings,
            "domains": [one["domain"] for one in (await self.get("/domains"))["domains"]],
            "dkim": await self.get("/dkim/acme.test"),
            "pauses": await self.get("/pauses"),
            "webhooks": [(one["name"], one["state"] == "paused") for one in hooks],
            "credentials": [one["revoked_at"] for one in (await self.get("/credentials"))["keys"]],
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port, folder = free_port(), tmp_path_factory.mktemp("repetitions")
    async with Sink() as sink, RelayProcess(folder, sink.port, configuration(port)):
        yield World(sink, VendorClient(port, KEY))


async def mailed_code(sink: Sink, address: str) -> str:
    """Return the code in the mail to an address, once it is there."""

    def find() -> str:
        mails = [one.content for one in sink.messages if address.encode() in one.content]
        found = [re.search(rb"Subject: (\d{6}) is the code", one) for one in mails]
        return next((one[1].decode() for one in found if one), "")

    return await until(find)


def filled(value: Any, **texts: object) -> Any:
    """Return a value with these texts in the place of their names."""
    text = json.dumps(value)
    for name, one in texts.items():
        text = text.replace(f"{{{name}}}", str(one))
    return json.loads(text)


async def prepare(world: World, case: Case, number: int) -> Mapping[str, object]:
    """Send the requests that come before; return the texts for the request."""
    texts: dict[str, object] = {"n": number, "id": ""}
    for step in case.steps:
        method, path, body = filled(step, **texts)
        whole = path if path.startswith("/v3") else f"{PREFIX}{path}"
        answer = await world.client.request(method, whole, body)
        assert answer.status < 300, (method, path, answer.text)
        texts["id"] = answer.json.get("queue_id", texts["id"])
    if CODE in case.steps:
        texts["code"] = await mailed_code(world.sink, f"i{number}@acme.test")
    return texts


async def send(world: World, case: Case, texts: Mapping[str, object]) -> VendorAnswer:
    names = {
        **{"queue_id": "{id}", "domain": "acme.test", "address": "i{n}@acme.test", "name": "hook{n}"},
        **{"step": "sending", **dict(case.values)},
    }
    path = filled(case.path.format(**names) + case.query, **texts)
    body = filled(case.body, **texts)
    if case.form is not None:
        body = aiohttp.FormData(filled(case.form, **texts), quote_fields=False, default_to_multipart=True)
    headers = {"Idempotency-Key": f"key {texts['n']}"} if case.kind == "key" else {}
    whole = path if case in VENDOR_CASES else f"{PREFIX}{path}"
    return await world.client.request(case.method, whole, body, headers=headers)


async def has_no_entry(world: World, queue_id: str) -> bool:
    return not (await world.get(f"/queue?queue_id={queue_id}"))["entries"]


def changing_routes() -> set[tuple[str, str]]:
    """Return method and path of every route that is no GET."""
    nothing = cast(Any, None)
    vendors = [route for one in services(nothing, nothing, nothing, nothing) for route in one.routes]
    found = {(one.method.upper(), one.path.removeprefix(PREFIX)) for one in OPERATIONS}
    found |= {(one.method, re.sub(r"\{(\w+):[^}]*\}", r"{\1}", one.path)) for one in vendors}
    return {one for one in found if one[0] != "GET"}


async def test_every_route_that_changes_something_has_an_entry() -> None:
    assert {(one.method, one.path) for one in (*CASES, *VENDOR_CASES)} == changing_routes()


@pytest.mark.parametrize(
    ("number", "case"), list(enumerate((*CASES, *VENDOR_CASES))), ids=lambda one: getattr(one, "path", one)
)
async def test_a_repetition_has_no_second_effect(world: World, number: int, case: Case) -> None:
    texts = await prepare(world, case, number)
    queue_id = str(texts["id"])
    first = await send(world, case, texts)
    assert first.status < 300, first.text
    if ("action", "flush") in case.values:
        await until(lambda: has_no_entry(world, queue_id))
    before = await world.state(queue_id)
    again = await send(world, case, texts)

    assert again.status == (case.again or first.status), again.text
    if case.kind == "key":
        assert SUBMITTED.sub("", again.text) == SUBMITTED.sub("", first.text)
    if case.kind != "again":
        after = await world.state(queue_id)
        assert {name: (value, after[name]) for name, value in before.items() if value != after[name]} == {}


async def test_what_a_repetition_does_again_is_what_the_page_says() -> None:
    page = Path("docs/api.md").read_text(encoding="utf-8")
    again = [one.path for one in CASES if one.kind == "again"]
    assert again == [
        "/identities/{address}/test/{step}",
        "/identities/{address}/verify",
        "/webhooks/{name}/test",
        "/webhooks/{name}/replay",
    ]
    assert "Tests and codes are sent again, and events of a replay are posted again, with the same ids" in page

"""A key of one domain sees and changes nothing of another: a table with an entry for every route of mail services."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio

from relay.api.vendors.mailgun_events import Query
from relay.api.vendors.services import services
from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.vendor_client import VendorAnswer, VendorClient
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

BETA = "secret of beta"
"""Is in all that beta has, so that no answer to another may have it."""

NAMES = ("acme", "beta", "one", "sender")

KEYS = {name: new_key(name, bytes([number] * 32)) for number, name in enumerate(NAMES)}

LISTS = ("bounces", "complaints", "unsubscribes")


def configuration(port: int) -> str:
    scopes = dict.fromkeys(NAMES, '["send", "read", "suppressions"]') | {"sender": '["manage"]'}
    domains = {"acme": '"acme.test"', "beta": '"beta.test"', "one": "", "sender": ""}
    credentials = "".join(
        f'[credentials.{name}]\nsecret_hash = "{hash_secret(KEYS[name], bytes(16))}"\nscopes = {scopes[name]}\n'
        f"domains = [{domains[name]}]\n"
        for name in NAMES
    )
    return f"""
[api]
address = "127.0.0.1:{port}"
{credentials}
[domains."acme.test"]
[domains."beta.test"]
[identities."shop@acme.test"]
[identities."shop@beta.test"]
[identities."one@acme.test"]
credentials = ["one"]
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A request about what is beta's. `text` is in the answers to others."""

    status: int
    text: str
    json: Any = None
    form: Any = None


FORM = {"from": "shop@beta.test", "to": "ada@reader.test", "subject": BETA, "text": BETA}

UNKNOWN = "Domain not found: beta.test"

LOGS = {"filter": {"AND": [{"attribute": "domain", "comparator": "=", "values": [{"value": "beta.test"}]}]}}

SENDGRID = {
    "personalizations": [{"to": [{"email": "ada@reader.test"}]}],
    "from": {"email": "shop@beta.test"},
    "subject": BETA,
    "content": [{"type": "text/plain", "value": BETA}],
}

POSTMARK = {"From": "shop@beta.test", "To": "ada@reader.test", "Subject": BETA, "TextBody": BETA}

CASES: dict[tuple[str, str], Case] = {
    ("POST", "/v3/{domain}/messages"): Case(404, UNKNOWN, form=FORM),
    ("POST", "/v3/{domain}/messages.mime"): Case(404, UNKNOWN, form={"to": "a@x.test", "message": "From: a@x.test"}),
    ("GET", "/v3/{domain}/events"): Case(404, UNKNOWN),
    ("GET", "/v3/{domain}/events/{token}"): Case(404, UNKNOWN),
    ("POST", "/v1/analytics/logs"): Case(404, UNKNOWN, json=LOGS),
    ("GET", "/v3/{domain}/{list}"): Case(404, UNKNOWN),
    ("POST", "/v3/{domain}/{list}"): Case(404, UNKNOWN, json=[{"address": "new@reader.test"}]),
    ("GET", "/v3/{domain}/{list}/{address}"): Case(404, UNKNOWN),
    ("DELETE", "/v3/{domain}/{list}/{address}"): Case(404, UNKNOWN),
    ("POST", "/v3/mail/send"): Case(403, "shop@beta.test", json=SENDGRID),
    ("POST", "/email"): Case(422, "shop@beta.test", json=POSTMARK),
    ("POST", "/email/batch"): Case(200, "shop@beta.test", json=[POSTMARK]),
}

OWN_PATHS = [key for key in CASES if "{domain}" in key[1]]
"""Routes whose domain may be the caller's own, with a request about beta all the same."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VendorClient]:
    port = free_port()
    async with (
        Sink() as sink,
        RelayProcess(tmp_path_factory.mktemp("isolation"), sink.port, configuration(port)),
    ):
        beta = VendorClient(port, KEYS["beta"])
        assert (await beta.form("/v3/beta.test/messages", FORM)).status == 200
        for name in LISTS:
            added = await beta.request("POST", f"/v3/beta.test/{name}", [{"address": "b@reader.test", "error": BETA}])
            assert added.status == 200, added.text

        async def is_delivered() -> bool:
            return len((await beta.request("GET", "/v3/beta.test/events?event=delivered")).json["items"]) == 1

        await until(is_delivered)
        yield beta


def all_routes() -> set[tuple[str, str]]:
    """Return method and path of every route in the form of a service."""
    nothing = cast(Any, None)
    found = [route for one in services(nothing, nothing, nothing, nothing) for route in one.routes]
    return {(one.method, re.sub(r"\{(\w+):[^}]*\}", r"{\1}", one.path)) for one in found}


async def ask(client: VendorClient, method: str, path: str, case: Case, key: str, domain: str) -> list[VendorAnswer]:
    """Send the request, for each of the lists if it is about one."""
    found = []
    for name in LISTS if "{list}" in path else ("",):
        filled = path.format(domain=domain, token=Query().token, list=name, address="b@reader.test")
        body: Any = case.json
        if case.form is not None:
            body = aiohttp.FormData(case.form, quote_fields=False, default_to_multipart=True)
        found.append(await client.request(method, filled, body, key))
    return found


async def snapshot(client: VendorClient) -> Any:
    """Return all that beta has."""
    paths = ("events?ascending=yes", *(f"{name}?limit=1000" for name in LISTS))
    return [(await client.request("GET", f"/v3/beta.test/{path}")).json["items"] for path in paths]


async def test_every_route_has_an_entry() -> None:
    assert all_routes() == set(CASES)


@pytest.mark.parametrize(("method", "path"), list(CASES))
async def test_a_key_of_another_domain_sees_and_changes_nothing(client: VendorClient, method: str, path: str) -> None:
    case, before = CASES[method, path], await snapshot(client)
    assert BETA in json.dumps(before)
    for name in ("acme", "one"):
        for answer in await ask(client, method, path, case, KEYS[name], "beta.test"):
            assert (answer.status, case.text in answer.text, BETA in answer.text) == (case.status, True, False), answer
    assert await snapshot(client) == before


@pytest.mark.parametrize(("method", "path"), OWN_PATHS)
async def test_below_its_own_domain_there_is_nothing_of_another(client: VendorClient, method: str, path: str) -> None:
    case, before = CASES[method, path], await snapshot(client)
    for name in ("acme", "one"):
        for answer in await ask(client, method, path, case, KEYS[name], "acme.test"):
            assert BETA not in answer.text
            assert "b@reader.test" not in answer.text
            assert not (case.form and answer.status < 400), answer
    assert await snapshot(client) == before


@pytest.mark.parametrize(("method", "path"), list(CASES))
async def test_every_route_needs_a_login_with_its_scope(client: VendorClient, method: str, path: str) -> None:
    for answer in await ask(client, method, path, CASES[method, path], KEYS["sender"], "beta.test"):
        assert (answer.status, "no scope" in answer.text) == (403, True)


async def test_an_unknown_key_gets_nothing(client: VendorClient) -> None:
    for (method, path), case in CASES.items():
        filled = path.format(domain="beta.test", token=Query().token, list="bounces", address="b@reader.test")
        nothing = {"Authorization": "", "X-Postmark-Server-Token": ""}
        answer = await client.request(method, filled, case.json, headers=nothing)
        assert answer.status == 401, (path, answer)

"""A key of one domain sees and changes nothing of another: a table with an entry for every route of the API."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from relay.config.secret_hash import hash_secret
from relay.verification.model import TEST_STEPS
from tests.ports import free_port
from tests.servers.api_client import Answer, ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

pytestmark = pytest.mark.asyncio(loop_scope="module")

BETA = "secret of beta"
"""Is in all that beta has, so that no answer to acme may have it."""


def configuration(port: int) -> str:
    secret = hash_secret("secret", b"s" * 16)
    scopes = '["send", "read", "suppressions", "webhooks", "manage"]'
    keys = [("acme", '"acme.test"'), ("beta", '"beta.test"'), ("all", "")]
    credentials = [
        f'[credentials.{name}]\nsecret_hash = "{secret}"\nscopes = {scopes}\ndomains = [{domains}]\n'
        for name, domains in keys
    ]
    return f"""
[api]
address = "127.0.0.1:{port}"
requests_per_minute = 60000
{"".join(credentials)}
[credentials.one]
secret_hash = "{secret}"
scopes = {scopes}
[credentials.onlysend]
secret_hash = "{secret}"
scopes = ["send"]
[credentials.onlyread]
secret_hash = "{secret}"
scopes = ["read"]
[domains."acme.test"]
[domains."beta.test"]
[identities."shop@acme.test"]
[identities."shop@beta.test"]
[identities."held@beta.test"]
[identities."one@acme.test"]
credentials = ["one"]
{webhook("hook-acme", 'domains = ["acme.test"]')}
{webhook("hook-one", 'identities = ["one@acme.test"]')}
{webhook("hook-beta", 'domains = ["beta.test"]')}
{webhook("hook-both", 'domains = ["acme.test", "beta.test"]')}
{webhook("hook-all", "")}
"""


def webhook(name: str, senders: str) -> str:
    """Return a webhook whose receiver is not there."""
    return f"""
[[webhook]]
name = "{name}"
url = "http://127.0.0.1:9/{name}"
allow_networks = ["127.0.0.1/32"]
{senders}
"""


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    acme: ApiClient
    beta: ApiClient
    all: ApiClient
    one: ApiClient
    queue_id: str
    """A message of beta."""


def mail(sender: str) -> dict[str, Any]:
    return {"from": sender, "to": ["ada@reader.test"], "subject": BETA, "text": "Hello", "tags": [BETA]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port = free_port()
    async with (
        Sink() as sink,
        RelayProcess(tmp_path_factory.mktemp("relay"), sink.port, configuration(port)) as relay,
    ):
        text = relay.config.read_text().replace("[server]", '[server]\nidentities_domain = "beta.test"', 1)
        relay.config.write_text(text)
        await relay.run("config", "reload")
        acme, beta, everything, one = (ApiClient(port, f"{name}:secret") for name in ("acme", "beta", "all", "one"))
        await relay.run("site", "pause", "--identity", "held@beta.test", "--reason", BETA)
        assert (await beta.post("/messages", mail("held@beta.test"))).status == 202
        sent = await beta.post("/messages", mail("shop@beta.test"))
        assert sent.status == 202
        held = {"address": "reader@b.test", "domain": "beta.test", "reply": BETA}
        assert (await beta.post("/suppressions", {"suppressions": [held]})).status == 200
        left = {"address": "reader@b.test", "domain": "beta.test", "campaign": BETA}
        assert (await beta.post("/unsubscribes", {"unsubscribes": [left]})).status == 200
        yield World(relay, acme, beta, everything, one, sent.json["queue_id"])


@dataclass(frozen=True, slots=True)
class Case:
    """A request about what is beta's. `status` is what acme gets; 200 for answers without anything of beta."""

    status: int
    query: str = ""
    body: Any = None


def entries(name: str) -> Any:
    return {name: [{"address": "a@x.test", "domain": "acme.test"}, {"address": "a@x.test", "domain": "beta.test"}]}


OTHER = "?domain=beta.test"

CASES: dict[tuple[str, str], Case] = {
    ("post", "/messages"): Case(403, body=mail("shop@beta.test")),
    ("post", "/messages/batch"): Case(200, body={"messages": [mail("shop@beta.test")]}),
    ("get", "/messages"): Case(200, OTHER),
    ("get", "/messages/{queue_id}"): Case(404),
    ("get", "/messages/{queue_id}/sent"): Case(404),
    ("delete", "/messages/{queue_id}"): Case(404),
    ("get", "/events"): Case(200, OTHER),
    ("get", "/suppressions"): Case(403, OTHER),
    ("get", "/suppressions/unproven"): Case(403, OTHER),
    ("post", "/suppressions"): Case(403, body=entries("suppressions")),
    ("post", "/suppressions/check"): Case(403, body=entries("suppressions")),
    ("post", "/suppressions/remove"): Case(403, body={"addresses": ["reader@b.test"], "domain": "beta.test"}),
    ("get", "/unsubscribes"): Case(403, OTHER),
    ("post", "/unsubscribes"): Case(403, body=entries("unsubscribes")),
    ("post", "/unsubscribes/check"): Case(403, body=entries("unsubscribes")),
    ("post", "/unsubscribes/remove"): Case(403, body={"addresses": ["reader@b.test"]}),
    ("get", "/domains"): Case(200),
    ("get", "/domains/{domain}/records"): Case(404),
    ("post", "/domains/{domain}/look"): Case(404),
    ("get", "/dkim/{domain}"): Case(404),
    ("post", "/dkim/{domain}/rotate"): Case(404, body={"algorithm": "ed25519"}),
    ("get", "/identities"): Case(200),
    ("get", "/identities/{address}"): Case(404),
    ("post", "/identities/{address}/test/{step}"): Case(404),
    ("post", "/identities/{address}/verify"): Case(404),
    ("post", "/identities/{address}/code"): Case(404, body={"code": "123456"}),
    ("post", "/identities/{address}/dns"): Case(404),
    ("post", "/identities/{address}/unverify"): Case(404),
    ("post", "/identities/{address}/pause"): Case(404),
    ("post", "/identities/{address}/resume"): Case(404),
    ("get", "/limits"): Case(200),
    ("get", "/credentials"): Case(200),
    ("post", "/credentials/revoke"): Case(404, body={"credential": "beta"}),
    ("get", "/identity-address"): Case(409, "?name=Jane"),
    ("get", "/identities/{address}/settings"): Case(404),
    ("put", "/identities/{address}/settings"): Case(404, body={"company": "Acme"}),
    ("delete", "/identities/{address}/settings"): Case(404),
    ("get", "/domains/{domain}/settings"): Case(404),
    ("put", "/domains/{domain}/settings"): Case(404, body={"exclusion": "domain"}),
    ("get", "/queue"): Case(403, OTHER),
    ("get", "/why/{target}"): Case(403, OTHER),
    ("post", "/queue/{action}"): Case(403, OTHER),
    ("get", "/pauses"): Case(200),
    ("post", "/pauses"): Case(403, body={"kind": "sending-domain", "value": "beta.test"}),
    ("post", "/pauses/resume"): Case(403, body={"kind": "identity", "value": "held@beta.test"}),
    ("get", "/webhooks"): Case(200),
    ("get", "/webhooks/{name}"): Case(404),
    ("put", "/webhooks/{name}"): Case(409, body={"url": "https://hooks.acme.test/mail", "domains": ["acme.test"]}),
    ("delete", "/webhooks/{name}"): Case(404),
    ("get", "/webhooks/{name}/log"): Case(404),
    ("post", "/webhooks/{name}/test"): Case(404),
    ("post", "/webhooks/{name}/pause"): Case(404),
    ("post", "/webhooks/{name}/resume"): Case(404),
    ("post", "/webhooks/{name}/replay"): Case(404, body={"since": 0}),
    **{
        ("get", f"/reports/{name}"): Case(403, OTHER)
        for name in ("bounces", "deliveries", "engagement", "unclassified", "messages", "recipients", "labels")
    },
}


async def described(world: World) -> dict[tuple[str, str], dict[str, Any]]:
    whole = await world.acme.request("GET", "/../openapi.json", login="")
    return {
        (method, path.removeprefix("/api/v1")): operation
        for path, operations in whole.json["paths"].items()
        for method, operation in operations.items()
    }


async def ask(client: ApiClient, method: str, path: str, queue_id: str, query: str = "", body: Any = None) -> Answer:
    return await client.request(method.upper(), filled(path, queue_id) + query, body)


def filled(path: str, queue_id: str) -> str:
    """Return the path about what is beta's."""
    return path.format(
        queue_id=queue_id,
        domain="beta.test",
        address="shop@beta.test",
        step=TEST_STEPS[0],
        name="hook-beta",
        action="hold",
        target=queue_id,
    )


async def test_every_route_has_an_entry(world: World) -> None:
    assert set(await described(world)) == set(CASES)


@pytest.mark.parametrize(("method", "path"), list(CASES), ids=lambda value: str(value))
async def test_a_key_of_another_domain_sees_and_changes_nothing(world: World, method: str, path: str) -> None:
    case, before = CASES[method, path], await snapshot(world)
    for client in (world.acme, world.one):
        answer = await ask(client, method, path, world.queue_id, case.query, case.body)
        assert answer.status == case.status or (client is world.one and answer.status in (403, 404)), answer.json
        shown = json.dumps(answer.json)
        assert BETA not in shown
        assert "beta.test" not in shown or answer.status >= 400 or "may " in shown, shown
    assert await snapshot(world) == before


async def snapshot(world: World) -> Any:
    """Return all that beta has."""
    paths = (f"/messages/{world.queue_id}", f"/suppressions{OTHER}", f"/unsubscribes{OTHER}", "/dkim/beta.test")
    found = [(await world.beta.get(path)).json for path in paths]
    found[0] = found[0]["subject"], [one["recipient"] for one in found[0]["recipients"]]
    identity = (await world.beta.get("/identities/shop@beta.test")).json
    hooks = [
        {**one, **dict.fromkeys(POSTING), "paused": one["state"] == "paused"}
        for one in (await world.all.get("/webhooks")).json["webhooks"]
    ]
    pauses, queue = (await world.beta.get("/pauses")).json, (await world.beta.get(f"/queue{OTHER}")).json
    held = [one["recipient"] for one in queue["entries"] if one["state"] == "held"]
    keys = [one["revoked_at"] for one in (await world.beta.get("/credentials")).json["keys"]]
    settings = [
        (await world.beta.get(f"{path}/settings")).json for path in ("/identities/shop@beta.test", "/domains/beta.test")
    ]
    return [*found, keys, settings, identity["paused_since"], identity["verified"], hooks, pauses, held]


async def test_the_snapshot_has_a_pause_of_a_webhook(world: World) -> None:
    before = await snapshot(world)
    await world.all.post("/webhooks/hook-beta/pause", None)
    assert await snapshot(world) != before
    await world.all.post("/webhooks/hook-beta/resume", {})
    assert await snapshot(world) == before


POSTING = ("state", "behind", "lag", "waiting", "last", "last_at")
"""What changes while a webhook posts."""


@pytest.mark.parametrize(("method", "path"), list(CASES), ids=lambda value: str(value))
async def test_every_route_needs_a_login_with_its_scope(world: World, method: str, path: str) -> None:
    case = CASES[method, path]
    refused = await world.beta.request(method.upper(), filled(path, world.queue_id), case.body, login="")
    assert refused.status == 401
    needed = (await described(world))[method, path]["description"].split("`")[1]
    other = "onlyread" if needed == "send" else "onlysend"
    refused = await ask(
        ApiClient(world.acme.port, f"{other}:secret"), method, path, world.queue_id, case.query, case.body
    )
    expected = f'the credential {other} has no scope "{needed}": add it to its scopes'
    assert (refused.status, refused.json["detail"]) == (403, expected)
    assert refused.headers["Content-Type"].startswith("application/problem+json")


async def test_reports_and_lists_of_a_restricted_key_need_its_own_domain(world: World) -> None:
    for path in ("/reports/deliveries", "/suppressions", "/unsubscribes"):
        for query in ("", "?domain=", "?domain=acme.test&domain=beta.test", "?domain=ACME.test&domain=beta.test"):
            answer = await world.acme.get(path + query)
            assert (answer.status, "acme.test" in answer.json["detail"]) == (403, True), (path, query)
        assert (await world.acme.get(f"{path}?domain=ACME.test")).status == 200
        assert (await world.all.get(path)).status == 200


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("suppressions", {"provenance": "session", "proof": "DKIM of x.test"}),
        ("unsubscribes", {"source": "one-click"}),
    ],
)
async def test_no_application_claims_evidence_that_only_the_relay_can_have(
    world: World, name: str, claim: dict[str, str]
) -> None:
    row = {"address": "claimed@x.test", "domain": "acme.test"}
    for client in (world.acme, world.all):
        refused = await client.post(f"/{name}", {name: [{**row, **claim}]})
        assert (refused.status, f"{name}.0.{next(iter(claim))}: input should be" in refused.json["detail"]) == (
            422,
            True,
        )
    assert (await world.acme.get(f"/{name}?domain=acme.test&address=claimed@x.test")).json == {name: []}


async def test_the_next_page_names_no_message_of_another_domain(world: World) -> None:
    """A queue id is what a returned Received field proves."""
    for client in (world.acme, world.one):
        assert (await client.get("/messages?limit=1")).json == {"messages": [], "next": None}
    assert [one["queue_id"] for one in (await world.beta.get("/messages?limit=1")).json["messages"]] == [world.queue_id]


async def test_what_is_its_own_it_sees_and_changes(world: World) -> None:
    row = {"address": "gone@x.test", "domain": "acme.test"}
    added = await world.acme.post("/suppressions", {"suppressions": [row]})
    assert (added.status, added.json["suppressions"][0]["domain"]) == (200, "acme.test")
    listed = (await world.acme.get("/suppressions?domain=acme.test")).json["suppressions"]
    assert [one["address"] for one in listed] == ["gone@x.test"]
    removed = await world.acme.post("/suppressions/remove", {"addresses": ["gone@x.test"], "domain": "acme.test"})
    assert len(removed.json["suppressions"]) == 1
    assert [one["domain"] for one in (await world.acme.get("/domains")).json["domains"]] == ["acme.test"]
    paused = await world.acme.post("/identities/shop@acme.test/pause", {"reason": "holiday"})
    assert (paused.status, paused.json["paused"]) == (200, True)
    assert "holiday" in (await world.acme.get("/identities/shop@acme.test")).json["paused_because"]
    refused = await world.acme.post("/messages", mail("shop@acme.test"))
    assert (refused.status, "is paused" in refused.json["detail"]) == (503, True)
    await world.acme.post("/identities/shop@acme.test/resume", None)
    limits = (await world.acme.get("/limits")).json
    assert [one["address"] for one in limits["identities"]] == ["shop@acme.test", "one@acme.test"]
    assert limits["providers"] == []
    assert (await world.all.get("/limits")).json["providers"]
    rotated = await world.acme.post("/dkim/acme.test/rotate", {"algorithm": "ed25519"})
    assert rotated.status in (200, 409), rotated.json


async def test_an_application_ends_no_pause_but_its_own(world: World) -> None:
    resume = "/identities/shop@acme.test/resume"
    await world.relay.run("identity", "pause", "shop@acme.test", "--reason", "complaints")
    refused = await world.acme.post(resume, None)
    assert (refused.status, "complaints; an operator must resume it" in refused.json["detail"]) == (403, True)
    assert (await world.acme.post("/messages", mail("shop@acme.test"))).status == 503
    await world.acme.post("/identities/shop@acme.test/pause", {"reason": "mine"})
    assert (await world.acme.post(resume, None)).status == 403, "a second pause does not replace the first"
    assert (await world.all.post(resume, None)).json["resumed"] is True


async def test_the_description_fits_the_answers(world: World) -> None:
    whole = (await world.all.request("GET", "/../openapi.json", login="")).json
    for (method, path), operation in (await described(world)).items():
        if method == "get" and path != "/events":
            query = {"/reports/labels": "?by=tag", "/identity-address": "?name=Jane"}.get(path, "")
            answer = await ask(world.all, method, path, world.queue_id, query)
            assert answer.status == 200, (path, answer.json)
            reference = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
            Draft202012Validator({**whole, "$ref": reference}).validate(answer.json)

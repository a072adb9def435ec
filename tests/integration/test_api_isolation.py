"""A key of one domain sees and changes nothing of another: a table with an entry for every route of the API."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from relay.verification.model import TEST_STEPS
from tests.integration.two_domains import BETA, World, mail, world
from tests.servers.api_client import Answer, ApiClient

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


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


async def test_the_description_fits_the_answers(world: World) -> None:
    whole = (await world.all.request("GET", "/../openapi.json", login="")).json
    for (method, path), operation in (await described(world)).items():
        if method == "get" and path != "/events":
            query = {"/reports/labels": "?by=tag", "/identity-address": "?name=Jane"}.get(path, "")
            answer = await ask(world.all, method, path, world.queue_id, query)
            assert answer.status == 200, (path, answer.json)
            reference = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
            Draft202012Validator({**whole, "$ref": reference}).validate(answer.json)

"""What a key of one domain sees and changes of its own, and what it may not claim."""

import pytest

from tests.integration.two_domains import World, mail, world

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


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

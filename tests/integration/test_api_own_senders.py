"""Holds, pauses and audit of an application that has only its own senders, over HTTP."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.own_senders import World, world
from tests.servers.waiting import until

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

LATER = (datetime.now(UTC) + timedelta(days=20)).isoformat()


async def test_a_sending_domain_is_held_and_released(world: World) -> None:
    body = {"kind": "sending-domain", "value": "Acme.test"}
    paused = await world.acme.post("/pauses", {**body, "seconds": 3600, "reason": "wrong price"})
    why = "the application acme paused it: wrong price"
    assert paused.json == {"kind": "sending-domain", "value": "acme.test", "paused": True, "why": why}
    (row,) = (await world.acme.get("/pauses")).json["pauses"]
    assert (row["kind"], row["value"], row["why"]) == ("sending-domain", "acme.test", why)
    assert (await world.news.get("/pauses")).json["pauses"] == []
    queue_id = await world.send("shop@acme.test", "held@reader.test")

    async def waits() -> bool:
        return (await world.reason(queue_id)).startswith("its sending domain acme.test is paused: the application acme")

    await until(waits)
    assert [one["queue_id"] for one in (await world.acme.get("/queue?domain=acme.test")).json["entries"]] == [queue_id]
    assert not world.has("held@reader.test")
    resumed = await world.acme.post("/pauses/resume", body)
    assert (resumed.json["resumed"], resumed.json["entries"]) == (True, 1)
    await until(lambda: world.has("held@reader.test"))
    assert (await world.acme.post("/pauses/resume", body)).json["resumed"] is False


async def test_an_application_holds_no_mail_of_others_and_ends_no_pause_of_an_operator(world: World) -> None:
    for kind, value in (
        ("domain", "acme.test"),
        ("sending-domain", "beta.test"),
        ("identity", "shop@beta.test"),
        ("site", "google"),
        ("provider", "direct"),
        ("campaign", "spring"),
    ):
        for path in ("/pauses", "/pauses/resume"):
            assert (await world.acme.post(path, {"kind": kind, "value": value})).status == 403, (path, kind)
    mine = {"kind": "identity", "value": "news@acme.test"}
    assert (await world.acme.post("/pauses", mine)).json["paused"] is True
    await world.relay.run("site", "pause", "--identity", "news@acme.test", "--reason", "checked")
    assert (await world.acme.post("/pauses", {**mine, "seconds": 30e6})).json["paused"] is False
    refused = await world.acme.post("/pauses/resume", mine)
    assert (refused.status, "checked; an operator must resume it" in refused.json["detail"]) == (403, True)
    assert (await world.all.post("/pauses/resume", mine)).json["resumed"] is True


async def test_queue_entries_are_held_released_and_bounced(world: World) -> None:
    queue_id = await world.send("news@acme.test", "later@reader.test", send_at=LATER)
    query = f"?identity=news@acme.test&queue_id={queue_id}"
    held = await world.news.request("POST", f"/queue/hold{query}")
    assert [(one["queue_id"], one["state"]) for one in held.json["entries"]] == [(queue_id, "held")]
    released = await world.acme.request("POST", f"/queue/release?domain=acme.test&queue_id={queue_id}")
    assert len(released.json["entries"]) == 1
    other = await world.acme.request("POST", f"/queue/bounce?queue_id={queue_id}")
    assert (other.status, "give one domain or identity of yours" in other.json["detail"]) == (403, True)
    bounced = await world.acme.request("POST", f"/queue/bounce{query}")
    assert [one["queue_id"] for one in bounced.json["entries"]] == [queue_id]
    story = (await world.acme.get(f"/messages/{queue_id}")).json
    assert story["recipients"][0]["status"] == "bounced"


async def test_an_application_releases_no_entry_that_an_operator_held_and_its_changes_have_its_name(
    world: World,
) -> None:
    queue_id = await world.send("news@acme.test", "looked@reader.test", send_at=LATER)
    query = f"?domain=acme.test&queue_id={queue_id}"
    await world.relay.run("queue", "hold", queue_id)
    assert (await world.acme.request("POST", f"/queue/release{query}")).json["entries"] == []
    assert await world.reason(queue_id) == "held by the operator"
    assert len((await world.all.request("POST", f"/queue/release{query}")).json["entries"]) == 1

    await world.acme.request("POST", f"/queue/hold{query}")
    assert await world.reason(queue_id) == "held by the application acme"
    await world.relay.run("queue", "hold", queue_id)
    assert await world.reason(queue_id) == "held by the operator", "the decision of an operator counts"
    assert (await world.news.request("POST", "/queue/release?identity=news@acme.test")).json["entries"] == []
    for action in ("bounce", "delete", "flush", "hold"):
        assert (await world.acme.request("POST", f"/queue/{action}{query}")).json["entries"] == [], action
    assert (await world.acme.request("DELETE", f"/messages/{queue_id}")).json["cancelled"] == []
    assert await world.reason(queue_id) == "held by the operator", "it is the operator's to release or to end"
    assert len((await world.all.request("POST", f"/queue/release{query}")).json["entries"]) == 1
    await world.acme.request("POST", f"/queue/bounce{query}")
    story = (await world.acme.get(f"/messages/{queue_id}")).json
    assert "bounced by the application acme" in str(story["events"])
    cancelled = await world.send("shop@acme.test", "off@reader.test", send_at=LATER)
    assert (await world.acme.request("DELETE", f"/messages/{cancelled}")).status == 200
    assert await world.reason(cancelled) == "cancelled by the application acme"

    audit = await world.relay.json("person", "audit", "--since", "1h")
    noted = {(one["person"], one["action"], one["subject"]) for one in audit}
    assert {
        ("key all", "queue.release", queue_id),
        ("key acme", "queue.hold", queue_id),
        ("key acme", "queue.bounce", queue_id),
        ("key acme", "queue.delete", cancelled),
    } <= noted
    assert ("key news", "queue.release", queue_id) not in noted


async def test_the_audit_has_what_keys_pause_and_resume(world: World) -> None:
    own, address = {"kind": "sending-domain", "value": "acme.test"}, "shop@acme.test"
    before = len(await world.relay.json("person", "audit", "--since", "1h"))
    await world.acme.post("/pauses", {**own, "reason": "wrong price"})
    await world.acme.post("/pauses/resume", own)
    await world.acme.post("/pauses/resume", own)
    await world.acme.post(f"/identities/{address}/pause", {"reason": "holiday"})
    await world.all.post(f"/identities/{address}/resume", None)
    await world.acme.post("/webhooks/acme/pause", None)
    await world.acme.post("/webhooks/acme/resume", {})
    why = "the application acme paused it"
    expected = [
        ("key acme", "pause.begin", "sending-domain:acme.test", "", f"{why}: wrong price"),
        ("key acme", "pause.end", "sending-domain:acme.test", f"{why}: wrong price", "0 recipients are due"),
        ("key acme", "identity.pause", address, "", f"{why}: holiday"),
        ("key all", "identity.resume", address, f"{why}: holiday", "0 recipients are due"),
        ("key acme", "webhook.pause", "acme", "", "paused by the application acme"),
        ("key acme", "webhook.resume", "acme", "paused by the application acme", "from kept"),
    ]
    keys = ("person", "action", "subject", "before", "after")
    audit = await world.relay.json("person", "audit", "--since", "1h")
    assert [tuple(one[key] for key in keys) for one in reversed(audit)][before:] == expected
    assert all(one["client"] == "127.0.0.1" for one in audit if one["person"] == "key acme")


async def test_why_mail_waits_is_explained_to_its_key_without_what_others_share(world: World) -> None:
    to = "why@reader.test"
    mine = await world.send("shop@acme.test", to, send_at=LATER)
    theirs = {"from": "shop@beta.test", "to": [to], "subject": "Hello", "text": "Hello", "send_at": LATER}
    other = await world.all.post("/messages", theirs)
    shown = await world.acme.get(f"/why/{to}?domain=ACME.test")
    assert (shown.json["kind"], [one["queue_id"] for one in shown.json["entries"]]) == ("recipient", [mine])
    (reason,) = shown.json["entries"][0]["reasons"]
    assert (reason["cause"], reason["remedy"]) == ("release time", "wait; an operator can raise the limit")
    assert (shown.json["sites"], shown.json["servers"]) == ([], [])
    assert (await world.acme.get(f"/why/{mine}?domain=acme.test")).json["kind"] == "message"
    assert (await world.acme.get(f"/why/{mine}/0?identity=shop@acme.test")).json["kind"] == "entry"
    for path, status in ((f"/why/{to}", 403), (f"/why/{to}?domain=beta.test", 403), (f"/why/{mine}?domain=", 403)):
        assert (await world.acme.get(path)).status == status, path
    assert (await world.news.get(f"/why/{mine}?identity=news@acme.test")).status == 404
    (command,) = await world.relay.json("why", to)
    assert [one["queue_id"] for one in command["entries"]] == [mine, other.json["queue_id"]]
    assert (await world.all.get(f"/why/{to}")).json == command

    await world.acme.request("POST", f"/queue/hold?domain=acme.test&queue_id={mine}")
    held = (await world.acme.get(f"/why/{mine}?domain=acme.test")).json["entries"][0]["reasons"][0]
    assert (held["cause"], held["remedy"]) == ("held", "POST /api/v1/queue/release")
    await world.relay.run("queue", "hold", mine)
    held = (await world.acme.get(f"/why/{mine}?domain=acme.test")).json["entries"][0]["reasons"][0]
    assert (held["text"], held["remedy"]) == ("held by the operator", "an operator must release it")


async def test_a_copy_of_sandbox_mail_is_read_by_its_key(world: World) -> None:
    mail = {"from": "shop@acme.test", "to": ["a@reader.test"], "subject": "Hello", "text": "Tested"}
    sent = await world.acme.post("/messages", {**mail, "sandbox": True})
    path = f"/messages/{sent.json['queue_id']}/sent"

    async def is_there() -> bool:
        return bool((await world.acme.get(path)).json["copies"])

    await until(is_there)
    answer = (await world.acme.get(path)).json
    (copy,) = answer["copies"]
    assert answer["next"] is None
    assert b"\r\nTested" in b64decode(copy["content"])
    assert copy == (await world.relay.json("queue", "show", sent.json["queue_id"], "--sent"))[0]
    assert (await world.acme.get(f"{path}?after=0")).json == {"copies": [], "next": None}
    assert (await world.acme.get(f"{path}?after=x")).status == 400
    assert (await world.news.get(path)).status == 404


async def test_the_records_to_publish_are_those_of_the_command(world: World) -> None:
    shown = (await world.acme.get("/domains/acme.test/records")).json["records"]
    wanted = await world.relay.json("domain", "records", "acme.test")
    assert [(one["kind"], one["name"], one["value"]) for one in shown] == [
        (one["kind"], one["name"], one["value"]) for one in wanted
    ]

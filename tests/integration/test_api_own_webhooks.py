"""Webhooks of an application that has only its own senders, over HTTP: made, changed, paused, and kept from others."""

import pytest

from tests.integration.own_senders import World, world
from tests.servers.api_client import Answer
from tests.servers.waiting import until

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


def names(answer: Answer) -> list[str]:
    return [one["name"] for one in answer.json["webhooks"]]


async def test_webhooks_are_those_whose_events_are_all_of_the_own_senders(world: World) -> None:
    assert names(await world.acme.get("/webhooks")) == ["acme", "news"]
    assert names(await world.news.get("/webhooks")) == ["news"]
    assert names(await world.all.get("/webhooks")) == ["acme", "news", "both", "every"]
    refused = await world.acme.get("/webhooks/both")
    assert (refused.status, refused.json["detail"]) == (404, 'there is no [[webhook]] "both"; known: acme, news')


async def test_a_webhook_is_tested_paused_resumed_and_replayed(world: World) -> None:
    tested = await world.acme.post("/webhooks/acme/test", {"events": ["bounced"]})
    assert [(one["type"], one["accepted"]) for one in tested.json["answers"]] == [("message.bounced", False)]
    assert (await world.acme.post("/webhooks/acme/pause", None)).json == {"paused": True}
    shown = (await world.acme.get("/webhooks/acme")).json
    assert (shown["state"], shown["why"]) == ("paused", "paused by the application acme")
    queue_id = await world.send("shop@acme.test", "posted@reader.test")
    replayed = await world.acme.post("/webhooks/acme/replay", {"queue_id": queue_id})
    assert (replayed.status, replayed.json["events"] >= 1) == (200, True), replayed.json
    failed = (await world.acme.get("/webhooks/acme/log?failed=yes")).json["posts"]
    assert {one["queue_id"] for one in failed} == {queue_id}
    assert (await world.acme.post("/webhooks/acme/resume", {"from": "now"})).json == {"resumed": True}
    assert (await world.acme.post("/webhooks/acme/replay", {"since": 0})).status == 200
    for body in ({}, {"since": "yesterday"}, {"since": -1}, {"failed": False}, {"from": 0}):
        assert (await world.acme.post("/webhooks/acme/replay", body)).status in (400, 422), body


SETTINGS = {"url": "https://hooks.acme.test/mail", "domains": ["acme.test"], "events": ["bounced"]}


async def test_a_webhook_is_made_changed_and_removed_by_its_application(world: World) -> None:
    made = await world.acme.request("PUT", "/webhooks/crm", SETTINGS)
    assert (made.status, made.json["created"], made.json["secret"][:6]) == (200, True, "whsec_"), made.json
    shown = (await world.acme.get("/webhooks/crm")).json
    assert (shown["host"], shown["events"], shown["domains"]) == ("hooks.acme.test", ["bounced"], ["acme.test"])
    key = await world.relay.run("webhook", "key", "crm")
    assert made.json["secret"] in key

    changed = await world.acme.request("PUT", "/webhooks/crm", {**SETTINGS, "events": ["click"], "batch": 1})
    assert (changed.status, changed.json["created"], changed.json["secret"]) == (200, False, None), changed.json
    assert (await world.acme.get("/webhooks/crm")).json["events"] == ["click"]
    assert await world.relay.run("webhook", "key", "crm") == key, "the secret stays"

    assert (await world.acme.request("DELETE", "/webhooks/crm")).json == {"name": "crm", "removed": True}
    assert (await world.acme.get("/webhooks/crm")).status == 404
    assert "crm" not in await world.relay.run("config", "show")
    assert not list(world.relay.folder.rglob("*crm*")), "no file is left"
    audit = await world.relay.json("person", "audit", "--since", "1h")
    assert sorted(one["action"] for one in audit if one["subject"] == "crm") == [
        "webhook.change",
        "webhook.new",
        "webhook.remove",
    ]


async def test_a_webhook_of_others_that_is_not_in_force_yet_keeps_its_settings_and_password(world: World) -> None:
    folder = world.relay.folder / "conf.d"
    folder.mkdir(exist_ok=True)
    (folder / "password").write_text("of beta")
    file = folder / "webhook-soon.toml"
    file.write_text(
        '[[webhook]]\nname = "soon"\nurl = "https://hooks.beta.test/"\ndomains = ["beta.test"]\n'
        'username = "beta"\npassword_file = "conf.d/password"\n'
    )
    try:
        before = file.read_text()
        for method, body in (("PUT", {**SETTINGS, "username": "beta"}), ("DELETE", None)):
            refused = await world.acme.request(method, "/webhooks/soon", body)
            assert refused.status in (404, 409), refused.json
        taken = await world.acme.request("PUT", "/webhooks/soon", SETTINGS)
        assert (taken.status, taken.json["detail"]) == (409, 'the name "soon" is taken: choose another')
        assert file.read_text() == before
    finally:
        file.unlink()


@pytest.mark.parametrize(
    "url", ["https://other.test/mail", "http://hooks.acme.test/mail", "https://hooks.acme.test:8/"]
)
async def test_a_kept_password_goes_to_no_other_origin(world: World, url: str) -> None:
    login = {**SETTINGS, "username": "acme"}
    assert (await world.acme.request("PUT", "/webhooks/moved", {**login, "password": "hush"})).status == 200
    same = {**login, "url": "https://hooks.acme.test:443/other"}
    assert (await world.acme.request("PUT", "/webhooks/moved", same)).status == 200
    refused = await world.acme.request("PUT", "/webhooks/moved", {**login, "url": url})
    assert (refused.status, "give the password" in refused.json["detail"]) == (400, True), refused.json
    new = {**login, "url": "https://other.test/mail", "password": "new"}
    assert (await world.acme.request("PUT", "/webhooks/moved", new)).status == 200
    assert (await world.acme.request("DELETE", "/webhooks/moved")).status == 200


async def test_faults_of_others_and_names_of_others_are_not_shown_to_a_restricted_key(world: World) -> None:
    folder = world.relay.folder / "conf.d"
    folder.mkdir(exist_ok=True)
    fault = folder / "webhook-theirs.toml"
    fault.write_text('[[webhook]]\nname = "theirs"\nurl = "https://hooks.beta.test/"\nformat = "beta"\n')
    try:
        refused = await world.acme.request("PUT", "/webhooks/mine", SETTINGS)
        assert (refused.status, "configuration has faults: tell an" in refused.json["detail"]) == (409, True)
        assert "beta" not in str(refused.json)
        own = await world.acme.request("PUT", "/webhooks/mine", {**SETTINGS, "secret": "short"})
        assert (own.status, "begins with whsec_" in own.json["detail"], "beta" in str(own.json)) == (400, True, False)
        assert "theirs" in str((await world.all.request("PUT", "/webhooks/mine", SETTINGS)).json)
    finally:
        fault.unlink()
    gone = {"kind": "sending-domain", "value": "left.test"}
    for path in ("/pauses", "/pauses/resume"):
        unknown = await world.left.post(path, gone)
        assert (unknown.status, unknown.json["detail"]) == (404, "left.test is not a sending domain")
        assert "acme.test" in str((await world.all.post(path, gone)).json)
    for path in ("/domains/left.test/records", "/dkim/left.test"):
        unknown = await world.left.get(path)
        assert (unknown.status, "acme.test" in str(unknown.json)) == (404, False), unknown.json


async def test_only_the_owner_reads_the_file_of_a_webhook_with_secrets_in_its_header_fields(world: World) -> None:
    headers = {"headers": {"Authorization": "Bearer hush"}}
    assert (await world.acme.request("PUT", "/webhooks/private", {**SETTINGS, **headers})).status == 200
    (file,) = (world.relay.folder / "conf.d").glob("*private*")
    assert ("hush" in file.read_text(), file.stat().st_mode & 0o777) == (True, 0o600)
    assert (await world.acme.request("DELETE", "/webhooks/private")).status == 200


async def test_a_webhook_whose_url_is_in_a_file_is_changed(world: World) -> None:
    folder = world.relay.folder / "conf.d"
    folder.mkdir(exist_ok=True)
    (world.relay.folder / "hook-url").write_text("https://hooks.acme.test/old")
    (folder / "webhook-filed.toml").write_text(
        '[[webhook]]\nname = "filed"\nurl_file = "hook-url"\ndomains = ["acme.test"]\n'
    )
    changed = await world.acme.request("PUT", "/webhooks/filed", SETTINGS)
    assert changed.status == 200, changed.json
    assert "url_file" not in (folder / "webhook-filed.toml").read_text()
    assert (await world.acme.request("DELETE", "/webhooks/filed")).status == 200


async def test_who_reuses_the_name_of_a_webhook_sees_no_failure_of_the_former_owner(world: World) -> None:
    mine = {**SETTINGS, "events": []}
    assert (await world.acme.request("PUT", "/webhooks/reused", mine)).status == 200
    queue_id = await world.send("shop@acme.test", "reused@reader.test")

    async def fails() -> bool:
        await world.acme.post("/webhooks/reused/replay", {"queue_id": queue_id})
        return bool((await world.acme.get("/webhooks/reused/log?failed=yes")).json["posts"])

    await until(fails)
    assert (await world.acme.request("DELETE", "/webhooks/reused")).status == 200
    theirs = {**mine, "domains": [], "identities": ["news@acme.test"]}
    assert (await world.news.request("PUT", "/webhooks/reused", theirs)).status == 200
    assert (await world.news.get("/webhooks/reused/log?failed=yes")).json["posts"] == []
    assert (await world.news.get("/webhooks/reused")).json["waiting"] == 0
    assert (await world.news.request("DELETE", "/webhooks/reused")).status == 200


@pytest.mark.parametrize("name", ["new", "Actions"])
async def test_names_of_pages_of_the_console_are_refused(world: World, name: str) -> None:
    refused = await world.acme.request("PUT", f"/webhooks/{name}", SETTINGS)
    assert (refused.status, "is reserved" in refused.json["detail"]) == (400, True), refused.json


@pytest.mark.parametrize(
    ("more", "status", "problem"),
    [
        ({"domains": ["beta.test"]}, 403, "all of them yours"),
        ({"domains": ["acme.test", "beta.test"]}, 403, "all of them yours"),
        ({"domains": []}, 403, "all of them yours"),
        ({"domains": [], "identities": ["shop@beta.test"]}, 403, "all of them yours"),
        ({"events": ["alert"]}, 403, "about the relay itself"),
        ({"url": "https://127.0.0.1/"}, 400, "is not public"),
        ({"url": "http://hooks.acme.test/"}, 400, "no TLS"),
        ({"url": "file:///etc/passwd"}, 422, "url"),
        ({"allow_networks": ["127.0.0.0/8"]}, 422, "allow_networks"),
        ({"secret_file": "/etc/passwd"}, 422, "secret_file"),
        ({"ca_file": "/etc/passwd"}, 422, "ca_file"),
        ({"secret": "short"}, 400, "begins with whsec_"),
        ({"headers": {"Host": "x"}}, 400, "cannot be set"),
        ({"url": "https://127.1/"}, 400, "neither a name nor an address"),
        ({"timeout": 61}, 422, "timeout"),
    ],
)
async def test_a_webhook_that_is_not_allowed_is_refused_and_nothing_is_written(
    world: World, more: dict[str, object], status: int, problem: str
) -> None:
    refused = await world.acme.request("PUT", "/webhooks/wrong", {**SETTINGS, **more})
    assert (refused.status, problem in refused.json["detail"]) == (status, True), refused.json
    assert "short" not in refused.json["detail"]
    assert not list(world.relay.folder.rglob("*wrong*"))


async def test_a_webhook_that_an_operator_wrote_by_hand_is_changed_by_hand(world: World) -> None:
    for method, body in (("PUT", SETTINGS), ("DELETE", None)):
        refused = await world.acme.request(method, "/webhooks/acme", body)
        assert (refused.status, "change it there" in refused.json["detail"]) == (409, True), refused.json
    taken = await world.acme.request("PUT", "/webhooks/every", SETTINGS)
    assert (taken.status, "is taken" in taken.json["detail"]) == (409, True)
    strange = await world.acme.request("PUT", "/webhooks/a%20b", SETTINGS)
    assert strange.status == 400, strange.json


async def test_a_pause_of_a_webhook_by_an_operator_is_not_ended_by_an_application(world: World) -> None:
    await world.relay.run("webhook", "pause", "news")
    refused = await world.acme.post("/webhooks/news/resume", {})
    assert (refused.status, "paused by the operator" in refused.json["detail"]) == (403, True)
    assert (await world.all.post("/webhooks/news/resume", {})).status == 200


async def test_a_webhook_is_changed_with_its_own_scope(world: World) -> None:
    for action in ("test", "pause", "resume", "replay"):
        refused = await world.reader.post(f"/webhooks/acme/{action}", {})
        assert (refused.status, '"webhooks"' in refused.json["detail"]) == (403, True)

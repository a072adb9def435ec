"""What a restricted key changes of its own senders: the queue, pauses and webhooks."""

from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.api_client import Answer, ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

LATER = (datetime.now(UTC) + timedelta(days=20)).isoformat()


def configuration(port: int) -> str:
    secret = hash_secret("secret", b"s" * 16)
    hooks = [
        ("acme", 'domains = ["acme.test"]'),
        ("news", 'identities = ["news@acme.test"]'),
        ("both", 'domains = ["acme.test", "beta.test"]'),
        ("every", ""),
    ]
    webhooks = "".join(
        f'[[webhook]]\nname = "{name}"\nurl = "http://127.0.0.1:9/"\nallow_networks = ["127.0.0.1/32"]\n{senders}\n'
        for name, senders in hooks
    )
    logins = [
        ("acme", '["send", "read", "webhooks", "manage"]', 'domains = ["acme.test"]'),
        ("reader", '["read"]', 'domains = ["acme.test"]'),
        ("news", '["send", "read", "webhooks", "manage"]', ""),
        ("left", '["read", "manage"]', 'domains = ["left.test"]'),
        ("all", '["send", "read", "webhooks", "manage"]', ""),
    ]
    credentials = "".join(
        f'[credentials.{name}]\nsecret_hash = "{secret}"\nscopes = {scopes}\n{domains}\n'
        for name, scopes, domains in logins
    )
    return f"""
[api]
address = "127.0.0.1:{port}"
{credentials}
{webhooks}
[domains."acme.test"]
[domains."beta.test"]
[identities."shop@acme.test"]
[identities."news@acme.test"]
credentials = ["news"]
[identities."shop@beta.test"]
"""


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    sink: Sink
    acme: ApiClient
    reader: ApiClient
    news: ApiClient
    left: ApiClient
    """Of a domain that is not there any more."""
    all: ApiClient

    async def send(self, sender: str, to: str, **more: str) -> str:
        """Send a mail of acme; return its queue id."""
        mail = {"from": sender, "to": [to], "subject": "Hello", "text": "Hello", **more}
        client = self.news if sender.startswith("news@") else self.acme
        sent = await client.post("/messages", mail)
        assert sent.status == 202, sent.json
        return str(sent.json["queue_id"])

    async def reason(self, queue_id: str) -> str:
        """Return why the recipient of a message waits."""
        return str((await self.acme.get(f"/messages/{queue_id}")).json["recipients"][0]["reason"])

    def has(self, address: str) -> bool:
        """Whether the address got mail."""
        return any(address in one.recipients for one in self.sink.messages)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port = free_port()
    folder = tmp_path_factory.mktemp("relay")
    async with Sink() as sink, RelayProcess(folder, sink.port, configuration(port)) as relay:
        clients = (ApiClient(port, f"{name}:secret") for name in ("acme", "reader", "news", "left", "all"))
        yield World(relay, sink, *clients)


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

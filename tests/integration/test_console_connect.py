"""Providers, webhooks and credentials on the console: looked at, tested, paused, posted again, revoked."""

import asyncio
import smtplib
from pathlib import Path

from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.integration.test_console_actions import text_of
from tests.ports import free_port
from tests.servers.actions import Say
from tests.servers.login_console import LoginRelay, people_toml, person
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE
from tests.servers.webhook_receiver import Receiver, Reply

EVIL = "<img src=x onerror=alert(1)>"

KEY = new_key("shop", b"1" * 32)

CREDENTIAL = f"""
[credentials.shop]
secret_hash = "{hash_secret(KEY, b"saltsalt")}"
domains = ["acme.test"]
[domains."acme.test"]
[identities."shop@acme.test"]
credentials = ["shop"]
"""


OTHERS = """
[[provider]]
name = "elsewhere"
host = "localhost"
[domains."other.test"]
campaign_provider = "elsewhere"
[bounces.imap]
host = "127.0.0.1"
port = 9
tls = "none"
username = "bounces@hidden.test"
password = "none"
"""
"""What somebody who is restricted to acme.test does not see."""


def webhook_toml(url: str, more: str = "") -> str:
    return f'[[webhook]]\nname = "crm"\nurl = "{url}"\nallow_networks = ["127.0.0.0/8"]\n{more}\n'


async def test_a_provider_is_looked_at_tested_and_paused(tmp_path: Path) -> None:
    password = "hunter2-hunter2"
    other = Sink(extensions=("AUTH PLAIN",), port=free_port())
    more = (
        f'[[provider]]\nname = "news"\nhost = "127.0.0.1"\nport = {other.port}\ntls = "none"\n'
        f'username = "acme"\npassword = "{password}"\ndaily_limit = 100\n'
        '[domains."acme.test"]\nprovider = "news"\nfallback_providers = ["sink"]\n'
    )
    async with (
        Sink() as sink,
        other,
        LoginRelay(tmp_path, sink, more) as relay,
        person(relay, "olga@acme.test") as olga,
    ):
        page = text_of(await olga.get("/providers/news"))
        for text in ("Provider news works.", f"127.0.0.1:{other.port}", "Login acme", "0 of 100", "Domains acme.test"):
            assert text in page, text
        assert "Fallback of acme.test" in text_of(await olga.get("/providers/sink"))
        await olga.get("/providers/direct")
        assert olga.status == 200
        await olga.get("/providers/none")
        assert olga.status == 404

        await olga.post("/providers/news/test")
        assert "The server takes the login." in text_of(olga.page)
        other.once("AUTH", Say(f"535 5.7.8 {EVIL}"))
        await olga.post("/providers/news/test")
        assert "The connection does not work." in text_of(olga.page)
        assert EVIL not in olga.page
        assert "535 5.7.8 &lt;img" in olga.page
        await olga.post("/providers/direct/test")
        assert olga.status == 404

        await olga.post("/providers/news/mail", {"from": "news@acme.test", "to": "ada@reader.test"})
        assert olga.path.startswith("/messages/")
        await other.received(1)
        await olga.post("/providers/news/mail", {"from": "nobody", "to": ""})
        assert (olga.status, "is not a mail address" in olga.page) == (400, True)

        await olga.post("/providers/actions", {"action": "provider.pause", "name": "news"})
        assert "Pause the provider news?" in text_of(olga.page)
        await olga.post(olga.path)
        assert "The provider news is paused." in text_of(olga.page)
        assert "One of three ways out is paused: news." in text_of(await olga.get("/providers"))
        assert "Provider news is paused." in text_of(await olga.get("/providers/news"))
        await asyncio.to_thread(relay._transaction, "ada@reader.test", b"From: news@acme.test\r\n\r\nHello\r\n")
        await olga.post("/providers/actions", {"action": "provider.resume", "name": "news"})
        await olga.post(olga.path)
        assert "The provider news is resumed." in text_of(olga.page)
        await other.received(2)
        await olga.post("/providers/actions", {"action": "provider.resume", "name": "news"})
        await olga.post(olga.path)
        assert "was not paused" in text_of(olga.page)
        for form, status in (
            ({"action": "provider.burn", "name": "news"}, 400),
            ({"action": "provider.pause", "name": "none"}, 404),
        ):
            await olga.post("/providers/actions", form)
            assert olga.status == status
        audit = [(one["action"], one["subject"]) for one in await relay.json("person", "audit", "--action", "provider")]
        assert audit.count(("provider.test", f"news 127.0.0.1:{other.port}")) == 2, audit
        assert ("provider.pause", "news") in audit
        assert password not in relay.log_file.read_text() + await olga.get("/audit") + await olga.get("/providers/news")


async def test_a_webhook_is_tested_paused_and_gets_events_again(tmp_path: Path) -> None:
    async with (
        Receiver() as receiver,
        Sink() as sink,
        LoginRelay(tmp_path, sink, webhook_toml(receiver.url, 'events = ["delivered"]')) as relay,
        person(relay, "olga@acme.test") as olga,
    ):
        page = text_of(await olga.get("/webhooks/crm"))
        assert "Receiver http://127.0.0.1" in page
        assert "/hook" not in page, "the path of a URL may be a secret"
        await olga.post("/webhooks/crm/test", {"kind": "bounced"})
        assert "The receiver accepted the sample." in text_of(olga.page)
        assert receiver.posts[-1].json["type"] == "message.bounced"
        receiver.next.append(Reply(500, text=EVIL))
        await olga.post("/webhooks/crm/test", {"kind": "delivered"})
        assert "did not accept the sample" in olga.page
        assert EVIL not in olga.page
        for path, form, status in (
            ("/webhooks/crm/test", {"kind": "burnt"}, 400),
            ("/webhooks/none/test", {"kind": "bounced"}, 404),
            ("/webhooks/actions", {"action": "webhook.burn", "name": "crm"}, 400),
            ("/webhooks/actions", {"action": "webhook.pause", "name": "none"}, 404),
            ("/webhooks/actions", {"action": "webhook.message", "name": "crm", "queue_id": EVIL}, 400),
            ("/webhooks/actions", {"action": "webhook.since", "name": "crm", "since": "yesterday"}, 400),
        ):
            await olga.post(path, form)
            assert olga.status == status, form
            assert EVIL not in olga.page

        before = len(receiver.posts)
        queue_id = await relay.send("ada@reader.test")
        await receiver.wait_for(before + 1)
        async with asyncio.timeout(PATIENCE):
            while "Accepted" not in text_of(await olga.get("/webhooks/crm")):
                await asyncio.sleep(0.05)
        assert f'href="/messages/{queue_id}"' in olga.page

        async def confirmed(action: str, **fields: str) -> str:
            await olga.post("/webhooks/actions", {"action": action, "name": "crm", **fields})
            assert olga.path.startswith("/confirm/"), olga.page
            await olga.post(olga.path)
            return text_of(olga.page)

        assert "1 event of the message will be posted again" in await confirmed("webhook.message", queue_id=queue_id)
        posts = await receiver.wait_for(before + 2)
        assert posts[before].id == posts[before + 1].id
        assert "will be looked at" in await confirmed("webhook.since", since="2020-01-01T00:00")
        await receiver.wait_for(before + 3)
        assert "The webhook crm is paused." in await confirmed("webhook.pause")
        assert "The webhook crm is paused." in text_of(await olga.get("/webhooks/crm"))
        await relay.send("bob@reader.test", message_id="<2@acme.test>")
        assert "The webhook crm goes on." in await confirmed("webhook.resume")
        await receiver.wait_for(before + 4)
        receiver.rule = lambda _: Reply(400)
        await relay.send("eve@reader.test", message_id="<3@acme.test>")
        async with asyncio.timeout(PATIENCE):
            while "Not delivered" not in text_of(await olga.get("/webhooks/crm")):
                await asyncio.sleep(0.05)
        receiver.rule = lambda _: Reply()
        count = len(receiver.posts)
        assert "of crm will be posted again" in await confirmed("webhook.failed")
        await receiver.wait_for(count + 1)
        actions = {one["action"] for one in await relay.json("person", "audit", "--action", "webhook")}
        assert actions == {f"webhook.{word}" for word in ("test", "message", "since", "pause", "resume", "failed")}


def log_in(port: int, key: str) -> int:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        try:
            return client.login("shop", key)[0]
        except smtplib.SMTPAuthenticationError as error:
            return error.smtp_code


async def test_an_owner_revokes_a_key(tmp_path: Path) -> None:
    async with (
        Sink() as sink,
        LoginRelay(tmp_path, sink, CREDENTIAL) as relay,
        person(relay, "otto@acme.test") as otto,
        person(relay, "olga@acme.test") as olga,
    ):
        assert await asyncio.to_thread(log_in, relay.port, KEY) == 235
        page = text_of(await otto.get("/credentials"))
        assert "Not used shop" in page or "In use shop" in page
        assert "of acme.test, shop@acme.test" in page
        await otto.get("/credentials/shop")
        (key,) = await relay.json("credential", "list")
        assert key["key"] in otto.page
        assert "Revoke" in otto.page
        assert "blake2b" not in otto.page
        assert "Revoke" not in (await olga.get("/credentials/shop")).replace("Revoked", "")
        form = {"action": "credential.revoke", "name": "shop", "key": key["key"]}
        await olga.post("/credentials/actions", form)
        assert olga.status == 403
        for wrong, status in (({"action": "x"}, 400), ({"name": "none"}, 404), ({"key": "x"}, 400)):
            await otto.post("/credentials/actions", form | wrong)
            assert otto.status == status
        await otto.post("/credentials/actions", form)
        assert "also for sessions that are open" in otto.page
        await otto.post(otto.path)
        assert "is revoked." in text_of(otto.page)
        assert await asyncio.to_thread(log_in, relay.port, KEY) == 535
        assert "Revoked" in text_of(await otto.get("/credentials"))
        assert f"shop,{key['key']}" in await otto.get("/credentials.csv")
        assert KEY not in otto.page + relay.log_file.read_text()


async def test_a_person_of_one_domain_gets_a_refusal_with_its_reason(tmp_path: Path) -> None:
    people = people_toml({"dora@acme.test": "owner"}, {"dora@acme.test": "acme.test"})
    own = CREDENTIAL.replace('[domains."acme.test"]', '[domains."acme.test"]\ncampaign_provider = "sink"')
    more = own + webhook_toml("http://127.0.0.1:9/hook") + OTHERS
    async with (
        Sink() as sink,
        LoginRelay(tmp_path, sink, more, people=people) as relay,
        person(relay, "dora@acme.test") as dora,
    ):
        page = await dora.get("/providers")
        assert (dora.status, "acme.test" in page) == (200, True)
        for other in ("other.test", "elsewhere", "bounces@hidden.test", "/providers/new"):
            assert other not in page, other
        for path in (
            "/providers/sink",
            "/providers/new",
            "/mailbox",
            "/webhooks/crm",
            "/credentials",
            "/credentials/shop",
        ):
            await dora.get(path)
            assert (dora.status, "You are restricted to acme.test." in dora.page) == (403, True), path
        for path, form in (
            ("/providers/actions", {"action": "provider.pause", "name": "sink"}),
            ("/providers/sink/test", {}),
            ("/webhooks/crm/test", {"kind": "bounced"}),
            ("/credentials/actions", {"action": "credential.revoke", "name": "shop"}),
        ):
            await dora.post(path, form)
            assert (dora.status, "You are restricted to acme.test." in dora.page) == (403, True), path

"""Webhooks are made and changed on the console; nobody sees a key or a secret URL again."""

import re
from pathlib import Path

from tests.integration.connection_forms import DOMAIN, SECRET, confirmed, written
from tests.integration.test_console_actions import text_of
from tests.integration.test_console_tables import edited, fragment
from tests.servers.login_console import LoginRelay, person
from tests.servers.sink import Sink
from tests.servers.webhook_receiver import Receiver


async def test_a_webhook_is_made_signs_gets_another_key_and_is_removed(tmp_path: Path) -> None:
    async with (
        Receiver() as receiver,
        Sink() as sink,
        LoginRelay(tmp_path, sink, DOMAIN) as relay,
        person(relay, "otto@acme.test") as otto,
        person(relay, "olga@acme.test") as olga,
    ):
        form = {"name": "crm", "url": receiver.url, "format": "standard", "events:delivered": "yes"}
        await edited(otto, "/webhooks/new", **form)
        assert (otto.status, "is not public" in otto.page) == (400, True), "without allow_networks"
        await edited(olga, "/webhooks/new", **form, allow_networks="127.0.0.0/8")
        assert (olga.status, "is not public" in olga.page) == (400, True), "only owners allow private networks"
        await edited(otto, "/webhooks/new", **form, allow_networks="127.0.0.0/8", username="u", password=SECRET)
        key = re.search(r"<code>(whsec_[^<]+)</code>", otto.page)
        assert key, text_of(otto.page)
        assert "Secret to check signatures, shown only once" in text_of(otto.page)
        values = fragment(relay, "webhook-crm.toml")["webhook"][0]  # type: ignore[index]
        assert values["events"] == ["delivered"]
        assert (tmp_path / values["secret_file"]).read_text().strip() == key[1]
        await otto.post("/webhooks/crm/test", {"kind": "delivered"})
        assert "The receiver accepted the sample." in text_of(otto.page)
        assert receiver.posts[-1].headers["webhook-signature"].count("v1,") == 1
        await relay.send("ada@reader.test")
        await receiver.wait_for(2)

        await edited(olga, "/webhooks/crm/edit", url="http://localhost:9/steal")
        assert (olga.status, "Somebody with the role owner" in olga.page) == (400, True)
        await edited(otto, "/webhooks/crm/edit", url=f"{receiver.url}/2")
        assert otto.status == 200, "another path of the same host needs no password"
        await edited(otto, "/webhooks/crm/edit", url="https://crm.example.com/x")
        assert (otto.status, "enter the password for it" in otto.page) == (400, True)
        await edited(olga, "/webhooks/crm/edit", **{"events:bounced": "yes", "domains": "acme.test"})
        assert olga.status == 200, text_of(olga.page)
        values = fragment(relay, "webhook-crm.toml")["webhook"][0]  # type: ignore[index]
        assert (values["events"], values["domains"]) == (["delivered", "bounced"], ["acme.test"])

        await olga.post("/webhooks/actions", {"action": "webhook.rotate", "name": "crm"})
        assert olga.status == 403
        page = await confirmed(otto, "/webhooks/actions", action="webhook.rotate", name="crm")
        assert "The older key signs beside it" in page
        second = re.search(r"<code>(whsec_[^<]+)</code>", otto.page)
        assert second
        await otto.post("/webhooks/crm/test", {"kind": "delivered"})
        assert receiver.posts[-1].headers["webhook-signature"].count("v1,") == 2
        assert "has one key" in await confirmed(otto, "/webhooks/actions", action="webhook.retire", name="crm")
        await otto.post("/webhooks/crm/test", {"kind": "delivered"})
        assert receiver.posts[-1].headers["webhook-signature"].count("v1,") == 1
        everything = written(relay) + await otto.get("/audit") + await otto.get("/webhooks/crm")
        for text in (key[1], second[1], SECRET):
            assert text not in everything
        assert "is removed" in await confirmed(otto, "/webhooks/actions", action="webhook.remove", name="crm")
        assert list((tmp_path / "secrets").iterdir()) == []
        assert "There is no webhook." in await otto.get("/webhooks")


async def test_a_password_of_a_webhook_goes_nowhere_in_clear_text(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    table = f'[[webhook]]\nname = "crm"\nurl = "https://crm.example.com/x"\nusername = "u"\npassword = "{SECRET}"\n'
    (tmp_path / "conf.d" / "webhook-crm.toml").write_text(table)
    async with Sink() as sink, LoginRelay(tmp_path, sink, DOMAIN) as relay, person(relay, "otto@acme.test") as otto:
        for url in ("http://crm.example.com/?https:", "http://crm.example.com/x"):
            await edited(otto, "/webhooks/crm/edit", url=url)
            assert (otto.status, "enter the password for it" in otto.page) == (400, True), url
        await edited(otto, "/webhooks/crm/edit", url="HTTPS://crm.example.com/y")
        assert otto.status == 200, text_of(otto.page)


async def test_the_url_of_a_chat_is_a_secret(tmp_path: Path) -> None:
    url = "https://hooks.slack.com/services/T0/B0/very-secret"
    async with Sink() as sink, LoginRelay(tmp_path, sink, DOMAIN) as relay, person(relay, "otto@acme.test") as otto:
        await edited(otto, "/webhooks/new", name="chat", url=url, format="slack", sign="")
        assert otto.path == "/webhooks/chat?saved=1", text_of(otto.page)
        assert "very-secret" not in await otto.get("/webhooks/chat/edit") + written(relay) + await otto.get("/audit")
        await edited(otto, "/webhooks/chat/edit", type="campaign")
        assert otto.status == 200
        values = fragment(relay, "webhook-chat.toml")["webhook"][0]  # type: ignore[index]
        assert (values["type"], (tmp_path / values["url_file"]).read_text()) == ("campaign", url)

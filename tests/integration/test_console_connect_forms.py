"""Providers, webhooks and credentials are made and changed on the console; nobody sees a secret again."""

import asyncio
import re
from pathlib import Path

from tests.integration.test_console_actions import text_of
from tests.integration.test_console_connect import log_in
from tests.integration.test_console_tables import edited, form_of, fragment
from tests.ports import free_port
from tests.servers.actions import Say
from tests.servers.login_console import LoginRelay, Person, person
from tests.servers.sink import Sink
from tests.servers.webhook_receiver import Receiver

DOMAIN = '[domains."acme.test"]\n'

SECRET = "hunter2 & <hunter3>"

EVIL = "<img src=x onerror=alert(1)>"


def auth_sink() -> Sink:
    return Sink(extensions=("AUTH PLAIN",), port=free_port())


def written(relay: LoginRelay) -> str:
    """Return all that the relay wrote about its people and settings, without the files of secrets."""
    files = [relay.log_file, *(relay.folder / "conf.d").glob("*")]
    return "\n".join(one.read_text() for one in files)


async def confirmed(one: Person, path: str, **form: str) -> str:
    await one.post(path, form)
    assert one.path.startswith("/confirm/"), text_of(one.page)
    await one.post(one.path)
    return text_of(one.page)


async def test_a_provider_is_tested_made_changed_and_removed(tmp_path: Path) -> None:
    async with (
        Sink() as sink,
        auth_sink() as up,
        LoginRelay(tmp_path, sink, DOMAIN) as relay,
        person(relay, "otto@acme.test") as otto,
    ):
        form = {"name": "news", "host": "127.0.0.1", "port": str(up.port), "tls": "none", "username": "acme"}
        up.once("AUTH", Say(f"535 5.7.8 {EVIL}"))
        await edited(otto, "/providers/new", **form, password=SECRET, do="test")
        assert "The connection does not work." in text_of(otto.page)
        assert "535 5.7.8 &lt;img" in otto.page
        assert SECRET not in otto.page
        assert not (tmp_path / "conf.d").exists(), "nothing is saved by a test"
        # The password need not be typed again: the form carries it, for this login only.
        kept = form_of(otto.page)
        assert (kept["host"], kept["password"], bool(kept["kept"])) == ("127.0.0.1", "", True)
        await otto.post("/providers/new", kept | {"do": "test"})
        assert "The server takes the login." in text_of(otto.page)
        await otto.post("/providers/new", {key: one for key, one in form_of(otto.page).items() if key != "do"})
        assert (otto.status, otto.path) == (200, "/providers/news?saved=1"), text_of(otto.page)
        values = fragment(relay, "provider-news.toml")["provider"][0]  # type: ignore[index]
        assert {key: one for key, one in values.items() if key != "password_file"} == {
            **form,
            "port": up.port,
        }
        file = tmp_path / values["password_file"]
        assert (file.read_text(), file.stat().st_mode & 0o777) == (SECRET, 0o600)
        await otto.post("/providers/news/test")
        assert "The server takes the login." in text_of(otto.page)

        await edited(otto, "/providers/news/edit", daily_limit="5", host="localhost")
        assert (otto.status, "enter the password for it" in otto.page) == (400, True)
        await edited(otto, "/providers/news/edit", daily_limit="five")
        assert (otto.status, "is not a whole number" in otto.page) == (400, True)
        await edited(otto, "/providers/news/edit", daily_limit="5")
        assert otto.status == 200
        values = fragment(relay, "provider-news.toml")["provider"][0]  # type: ignore[index]
        assert (values["daily_limit"], tmp_path / values["password_file"]) == (5, file)
        assert "0 of 5" in text_of(await otto.get("/providers/news"))
        await edited(otto, "/providers/news/edit", password="another one")
        assert otto.status == 200
        assert not file.exists(), "the file of the former password is gone"

        for wrong, fault in (
            ({"name": "news"}, "There is news already"),
            ({"name": EVIL}, "Allowed: letters"),
            ({"name": "new"}, "a word of the console"),
            ({"name": "b", "host": "no host!"}, "is not"),
            ({"name": "b", "port": "99999"}, "too high"),
            ({"name": "b", "tls": "ssl"}, "not one of the choices"),
            ({"name": "b", "spf": "nonsense"}, "is not an SPF mechanism"),
        ):
            await edited(otto, "/providers/new", **(form | wrong))
            assert (otto.status, fault in otto.page) == (400, True), (wrong, text_of(otto.page))
            assert EVIL not in otto.page
        await edited(otto, "/providers/sink/edit", daily_limit="5")
        assert (otto.status, "It is written in" in text_of(await otto.get("/providers/sink/edit"))) == (400, True)

        assert "The provider news is removed." in await confirmed(
            otto, "/providers/actions", action="provider.remove", name="news"
        )
        assert list((tmp_path / "secrets").iterdir()) == []
        assert not (tmp_path / "conf.d" / "provider-news.toml").exists()
        await otto.post("/providers/actions", {"action": "provider.remove", "name": "sink"})
        assert (otto.status, "is written in" in otto.page) == (400, True)
        for text in (SECRET, "another one"):
            assert text not in written(relay) + await otto.get("/audit")
        actions = [one["action"] for one in await relay.json("person", "audit", "--action", "provider")]
        tests, changes = ["provider.test"] * 2, ["provider.change"] * 2
        assert actions == ["provider.remove", *changes, "provider.test", "provider.new", *tests]


async def test_an_operator_changes_limits_but_not_where_a_password_goes(tmp_path: Path) -> None:
    async with (
        Sink() as sink,
        auth_sink() as up,
        auth_sink() as evil,
        LoginRelay(tmp_path, sink, DOMAIN) as relay,
        person(relay, "otto@acme.test") as otto,
        person(relay, "olga@acme.test") as olga,
    ):
        form = {"name": "news", "host": "127.0.0.1", "port": str(up.port), "tls": "none", "username": "acme"}
        await edited(otto, "/providers/new", **form, password=SECRET)
        await olga.get("/providers/news/edit")
        for name in ("host", "port", "tls", "username", "password"):
            assert f'name="{name}"' not in olga.page, name
        stolen = {"host": "127.0.0.1", "port": str(evil.port), "do": "test", "password": "x"}
        await edited(olga, "/providers/news/edit", **stolen)
        await edited(olga, "/providers/news/edit", **{**stolen, "do": "", "hourly_limit": "7"})
        values = fragment(relay, "provider-news.toml")["provider"][0]  # type: ignore[index]
        assert values["port"] == up.port
        assert evil.connections == 0
        await edited(olga, "/providers/news/edit", hourly_limit="7")
        assert olga.status == 200
        assert fragment(relay, "provider-news.toml")["provider"][0]["hourly_limit"] == 7  # type: ignore[index]
        # A provider without a login is theirs.
        await edited(olga, "/providers/new", name="plain", host="127.0.0.1", port=str(up.port), tls="none")
        assert olga.path == "/providers/plain?saved=1"
        await olga.post("/providers/actions", {"action": "provider.remove", "name": "plain"})
        assert olga.status == 403
        # What a form carries opens in no other login.
        await edited(otto, "/providers/new", **(form | {"name": "b"}), password=SECRET, do="test")
        kept = form_of(otto.page)["kept"]
        async with person(relay, "sam@acme.test") as sam:
            await sam.post("/providers/new", form | {"kept": kept})
            assert sam.status == 403
        up.commands.clear()
        await olga.post("/providers/new", form | {"name": "c", "kept": kept, "do": "test"})
        assert up.said("AUTH") == []


async def test_two_owners_change_one_provider(tmp_path: Path) -> None:
    async with (
        Sink() as sink,
        LoginRelay(tmp_path, sink, DOMAIN) as relay,
        person(relay, "otto@acme.test") as otto,
        person(relay, "olga@acme.test") as olga,
    ):
        await edited(otto, "/providers/new", name="news", host="127.0.0.1", port="2525", tls="none")
        await otto.get("/providers/news/edit")
        first = form_of(otto.page) | {"hourly_limit": "10"}
        await edited(olga, "/providers/news/edit", daily_limit="99")
        await otto.post("/providers/news/edit", first)
        assert (otto.status, "olga@acme.test changed it meanwhile" in text_of(otto.page)) == (409, True)
        await otto.post("/providers/news/edit", form_of(otto.page))
        values = fragment(relay, "provider-news.toml")["provider"][0]  # type: ignore[index]
        assert (values["hourly_limit"], values["daily_limit"]) == (10, 99)


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


def key_in(page: str) -> str:
    found = re.search(r"<code>(rk_[^<]+)</code>", page)
    assert found, text_of(page)
    return found[1]


async def test_a_credential_is_made_sends_gets_another_key_and_is_removed(tmp_path: Path) -> None:
    async with (
        Sink() as sink,
        LoginRelay(tmp_path, sink, DOMAIN) as relay,
        person(relay, "otto@acme.test") as otto,
        person(relay, "olga@acme.test") as olga,
    ):
        for wrong, fault in (
            ({"name": EVIL}, "Allowed: letters"),
            ({"name": "a", "domains": "no_domain!"}, "is not a"),
        ):
            await edited(otto, "/credentials/new", **wrong)
            assert (otto.status, fault in otto.page, "rk_" in otto.page) == (400, True, False), text_of(otto.page)
            assert EVIL not in otto.page
        await edited(otto, "/credentials/new", name="shop", domains="acme.test", **{"scopes:read": "yes"})
        first = key_in(otto.page)
        assert "Password, with shop or any other text as user name, shown only once" in text_of(otto.page)
        table = fragment(relay, "credential-shop.toml")["credentials"]["shop"]  # type: ignore[index]
        assert (table["domains"], table["scopes"]) == (["acme.test"], ["send", "read"])
        assert table["secret_hash"].startswith("blake2b:")
        assert await asyncio.to_thread(log_in, relay.port, first) == 235
        await edited(otto, "/credentials/new", name="shop")
        assert (otto.status, "There is shop already" in otto.page) == (400, True)

        page = await confirmed(otto, "/credentials/actions", action="credential.rotate", name="shop")
        assert "still works" in page
        second = key_in(otto.page)
        for key in (first, second):
            assert await asyncio.to_thread(log_in, relay.port, key) == 235
        await otto.post("/credentials/actions", {"action": "credential.rotate", "name": "shop"})
        assert "The older one" in text_of(otto.page)
        await otto.post(otto.path)
        third = key_in(otto.page)
        assert [await asyncio.to_thread(log_in, relay.port, one) for one in (first, second, third)] == [535, 235, 235]
        await edited(otto, "/credentials/shop/edit", may_bypass_lists="yes")
        assert "may send past suppressions" in await otto.get("/credentials/shop")
        assert await asyncio.to_thread(log_in, relay.port, third) == 235, "the key stays"

        await olga.get("/credentials/shop/edit")
        assert olga.status == 403
        await olga.post("/credentials/actions", {"action": "credential.rotate", "name": "shop"})
        assert olga.status == 403
        everything = written(relay) + await otto.get("/audit") + await otto.get("/credentials/shop")
        for key in (first, second, third):
            assert key not in everything
        assert "is removed" in await confirmed(otto, "/credentials/actions", action="credential.remove", name="shop")
        assert await asyncio.to_thread(log_in, relay.port, third) == 535
        assert "no credential" in await otto.get("/credentials")


async def test_a_credential_that_an_identity_names_stays(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink, DOMAIN) as relay, person(relay, "otto@acme.test") as otto:
        await edited(otto, "/credentials/new", name="shop")
        key = key_in(otto.page)
        await edited(otto, "/identities/new", address="shop@acme.test", display_name="Shop", credentials="shop")
        assert otto.path == "/identities/shop@acme.test?saved=1", text_of(otto.page)
        page = await confirmed(otto, "/credentials/actions", action="credential.remove", name="shop")
        assert "Nothing was changed." in page
        assert "shop@acme.test" in page
        assert await asyncio.to_thread(log_in, relay.port, key) == 235

"""Providers are tested, made, changed and removed on the console; nobody sees a password again."""

from pathlib import Path

from tests.integration.connection_forms import DOMAIN, EVIL, SECRET, auth_sink, confirmed, written
from tests.integration.test_console_actions import text_of
from tests.integration.test_console_tables import edited, form_of, fragment
from tests.servers.actions import Say
from tests.servers.login_console import LoginRelay, person
from tests.servers.sink import Sink


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

"""Settings that are changed on the console: they are files, and two people who change one thing lose nothing."""

import re
import tomllib
from pathlib import Path

from tests.servers.login_console import LoginRelay, Person, people_toml, person
from tests.servers.sink import Sink

MORE = """
[limits]
identity_hourly = 40
identity_daily = 200
[domains."acme.test"]
[identities."hand@acme.test"]
company = "By hand"
"""

EVIL = "<script>document.title='owned'</script>\"'&{{ 7 * 7 }}"


async def edited(one: Person, path: str, **fields: str) -> str:
    """Load a form, change some fields, and send it as it is then."""
    await one.get(path)
    return await one.post(path, form_of(one.page) | {key.replace("__", "."): text for key, text in fields.items()})


def form_of(page: str) -> dict[str, str]:
    """Return what a browser sends of the form of a page."""
    found = {}
    main = page[page.index("<main") :]
    for tag in re.findall(r"<input[^>]*>", main):
        given = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if given.get("type") in ("checkbox", "radio") and " checked" not in tag:
            continue
        found[given.get("name", "")] = _plain(given.get("value", ""))
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', main, re.DOTALL):
        first = re.search(r'<option value="([^"]*)"', options)
        chosen = re.search(r'<option value="([^"]*)" selected', options) or first
        found[name] = _plain(chosen[1]) if chosen else ""
    found.pop("", None)
    return found


def _plain(text: str) -> str:
    for coded, char in (("&#34;", '"'), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(coded, char)
    return text


def fragment(relay: LoginRelay, name: str) -> dict[str, object]:
    return tomllib.loads((relay.folder / "conf.d" / name).read_text())


async def test_an_identity_is_made_of_a_name_changed_and_removed(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink, MORE) as relay, person(relay, "olga@acme.test") as olga:
        config = (tmp_path / "relay.toml").read_bytes()
        await edited(olga, "/identities/new", address="jane@acme.test", display_name="Jane Doe", company="Acme Ltd")
        assert (olga.status, olga.path) == (200, "/identities/jane@acme.test?saved=1")
        assert "Saved. It holds for the next message." in olga.page
        (row,) = [one for one in await relay.json("identity", "list") if one["address"] == "jane@acme.test"]
        assert (row["display_name"], row["company"], row["hourly_limit"]) == ("Jane Doe", "Acme Ltd", 40)
        values = {"display_name": "Jane Doe", "company": "Acme Ltd"}
        assert fragment(relay, "identity-jane@acme.test.toml") == {"identities": {"jane@acme.test": values}}

        await edited(olga, "/identities/jane@acme.test/edit", daily_limit="120", forward_to="a@x.test, b@x.test")
        values |= {"daily_limit": 120, "forward_to": ["a@x.test", "b@x.test"]}  # type: ignore[dict-item]
        assert fragment(relay, "identity-jane@acme.test.toml") == {"identities": {"jane@acme.test": values}}
        audit = await relay.json("person", "audit", "--action", "identity")
        assert [(one["action"], one["before"], one["after"]) for one in audit] == [
            ("identity.change", "", 'daily_limit = 120, forward_to = ["a@x.test", "b@x.test"]'),
            ("identity.new", "", 'display_name = "Jane Doe", company = "Acme Ltd"'),
        ]

        await olga.get("/identities/jane@acme.test")
        await olga.post("/identities/jane@acme.test/actions", {"action": "remove"})
        assert "Remove jane@acme.test?" in olga.page
        await olga.post(olga.path)
        assert "jane@acme.test is removed." in olga.page
        assert [one["address"] for one in await relay.json("identity", "list")] == ["hand@acme.test"]
        assert (tmp_path / "relay.toml").read_bytes() == config


async def test_addresses_of_names_are_free_ones(tmp_path: Path) -> None:
    # The key stands in a table of its own file, because the folder has a [server] already.
    async with Sink() as sink:
        relay = LoginRelay(tmp_path, sink, MORE)
        relay.config.write_text(
            relay.config.read_text().replace("[server]", '[server]\nidentities_domain = "mail.acme.test"')
        )
        async with relay, person(relay, "olga@acme.test") as olga:
            for number in ("", "2"):
                await edited(olga, "/identities/new", display_name="Jané Doe")
                assert olga.path == f"/identities/jane.doe{number}@mail.acme.test?saved=1"
            await edited(olga, "/identities/new", display_name="日本語")
            assert (olga.status, "No letter of it fits an address" in olga.page) == (400, True)
            await edited(olga, "/identities/new", display_name="Jane", how="own", address="no address")
            assert (olga.status, "It is not a mail address" in olga.page) == (400, True)
            await edited(olga, "/identities/new", display_name="Jane", how="own", address="Jane@Acme.test")
            assert olga.path == "/identities/jane@acme.test?saved=1"


async def test_faults_stand_at_their_fields_and_nothing_is_saved(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink, MORE) as relay, person(relay, "olga@acme.test") as olga:
        await edited(
            olga,
            "/identities/new",
            address="jane@acme.test",
            daily_limit="400",
            hourly_limit="many",
            company="Acme <Ltd>",
        )
        assert (olga.status, "Nothing was saved. One field needs a change." in olga.page) == (400, True)
        assert "&#39;many&#39; is not a whole number." in olga.page
        await olga.post("/identities/new", form_of(olga.page) | {"hourly_limit": "4", "forward_to": "a@x.test, nobody"})
        assert (olga.status, "2 fields need a change." in olga.page) == (400, True)
        assert re.search(r'id="f-daily_limit-f">.*?is over.*?</p>', olga.page)
        assert re.search(r'name="daily_limit"[^>]* aria-invalid="true" aria-describedby="f-daily_limit-f', olga.page)
        assert 'value="a@x.test, nobody"' in olga.page
        assert 'value="Acme &lt;Ltd&gt;"' in olga.page
        assert list((tmp_path / "conf.d").iterdir()) == []
        await olga.post("/identities/new", form_of(olga.page) | {"daily_limit": "40", "forward_to": "a@x.test"})
        assert olga.path == "/identities/jane@acme.test?saved=1"
        await edited(olga, "/identities/new", address="jane@acme.test")
        assert (olga.status, "there is one of this name already" in olga.page) == (409, True)
        await edited(olga, "/identities/new", address="hand@acme.test")
        assert (olga.status, "relay.toml:" in olga.page) == (400, True)


async def test_two_operators_who_edit_one_identity_lose_nothing(tmp_path: Path) -> None:
    async with (
        Sink() as sink,
        LoginRelay(tmp_path, sink, MORE) as relay,
        person(relay, "olga@acme.test") as olga,
        person(relay, "otto@acme.test") as otto,
    ):
        path = "/identities/jane@acme.test/edit"
        await edited(olga, "/identities/new", address="jane@acme.test", hourly_limit="30")
        await olga.get(path)
        seen_by_olga = form_of(olga.page)
        await edited(otto, path, hourly_limit="20", company="Acme Ltd")
        assert otto.status == 200

        await olga.post(path, seen_by_olga | {"hourly_limit": "25", "display_name": "Jane Doe"})
        assert olga.status == 409
        assert "Nothing was saved: otto@acme.test changed it meanwhile." in olga.page
        assert "Company: was nothing, is Acme Ltd" in olga.page
        assert "Emails an hour: was 30, is 20, you have 25" in olga.page
        await olga.post(path, form_of(olga.page))
        assert olga.path == "/identities/jane@acme.test?saved=1"
        values = {"hourly_limit": 25, "company": "Acme Ltd", "display_name": "Jane Doe"}
        assert fragment(relay, "identity-jane@acme.test.toml") == {"identities": {"jane@acme.test": values}}

        await otto.get(path)
        seen_by_otto = form_of(otto.page)
        await olga.post("/identities/jane@acme.test/actions", {"action": "remove"})
        confirm = olga.path
        await edited(otto, path, company="Acme")
        await olga.post(confirm)
        assert "It was changed meanwhile by otto@acme.test." in olga.page
        await olga.post("/identities/jane@acme.test/actions", {"action": "remove"})
        await olga.post(olga.path)
        await otto.post(path, seen_by_otto)
        assert (otto.status, "it was removed meanwhile by olga@acme.test" in otto.page) == (409, True)
        await otto.post(path, form_of(otto.page))
        assert fragment(relay, "identity-jane@acme.test.toml") == {"identities": {"jane@acme.test": values}}


async def test_names_of_strangers_act_nowhere(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink, MORE) as relay, person(relay, "olga@acme.test") as olga:
        await edited(olga, "/identities/new", address="jane@acme.test", display_name=EVIL, company=EVIL)
        for path in ("/identities", "/identities/jane@acme.test", "/identities/jane@acme.test/edit", "/audit"):
            page = await olga.get(path)
            assert olga.status == 200
            assert "document.title" in page, path
            assert "<script>document" not in page, path
            assert "49" not in page[page.index("document.title") :][:200], path
        await olga.post("/identities/jane@acme.test/edit", {"company": EVIL, "was": EVIL, "version": EVIL, "bcc": EVIL})
        assert olga.status in (400, 409)
        assert "<script>document" not in olga.page


async def test_a_person_of_one_domain_edits_its_identities_only(tmp_path: Path) -> None:
    people = people_toml({"dora@acme.test": "operator"}, {"dora@acme.test": "other.test"})
    more = MORE + '[domains."other.test"]\n'
    async with (
        Sink() as sink,
        LoginRelay(tmp_path, sink, more, people) as relay,
        person(relay, "dora@acme.test") as dora,
    ):
        await edited(dora, "/identities/new", address="x@acme.test")
        assert (dora.status, "You act for other.test only." in dora.page) == (400, True)
        await edited(dora, "/identities/new", address="dora@other.test")
        assert dora.path == "/identities/dora@other.test?saved=1"
        page = await dora.get("/identities")
        assert "dora@other.test" in page
        assert "hand@acme.test" not in page
        for path in ("/identities/hand@acme.test", "/identities/hand@acme.test/edit", "/domains/acme.test"):
            await dora.get(path)
            assert (dora.status, "By hand" in dora.page) == (404, False), path
        for path in ("/identities/hand@acme.test/edit", "/identities/hand@acme.test/actions"):
            await dora.post(path, {"action": "remove", "company": "Mine"})
            assert dora.status == 404, path
        page = await dora.get("/domains")
        assert "other.test" in page
        assert "/domains/acme.test" not in page
        assert "hand@acme.test" not in await dora.get("/identities.csv")


async def test_what_needs_a_restart_is_named(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink, MORE) as relay, person(relay, "olga@acme.test") as olga:
        relay.config.write_text(relay.config.read_text() + '[metrics]\naddress = "127.0.0.1:0"\n')
        await edited(olga, "/identities/new", address="jane@acme.test")
        assert "These need a restart of the server: metrics" in olga.page

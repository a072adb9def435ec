"""Sending domains on the console: what DNS has beside what is wanted, settings, keys; over HTTP and in a browser."""

import asyncio
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.page_checks import looks_right
from tests.integration.test_console_afternoons import Keyboard
from tests.integration.test_console_identities import logged_in
from tests.integration.test_console_tables import edited
from tests.servers import DnsServer, axe
from tests.servers.chromium import Chromium
from tests.servers.login_console import LoginRelay, people_toml, person
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

ZONE = """
relay.test. A 127.0.0.1
acme.test. TXT "v=spf1 include:<b>.test -all"
_dmarc.acme.test. TXT "v=DMARC1; p=reject"
other.test. A 127.0.0.9
"""

PEOPLE = people_toml({"olga@acme.test": "operator", "dora@acme.test": "operator"}, {"dora@acme.test": "other.test"})


@asynccontextmanager
async def relay_with_dns(folder: Path) -> AsyncIterator[LoginRelay]:
    """A relay with one domain of its own file, and one that a person wrote."""
    async with DnsServer(ZONE) as names, Sink() as sink:
        more = f'[resolver]\nnameservers = ["127.0.0.1:{names.port}"]\n[domains."hand.test"]\n'
        relay = LoginRelay(folder, sink, more, PEOPLE)
        (folder / "conf.d").mkdir()
        (folder / "data").mkdir()
        file = folder / "conf.d" / "domain-acme.test.toml"
        file.write_text('# Owned by sales.\n[domains."acme.test"]\ndkim = { selectors = ["s1", "s2"] }\n')
        (folder / "conf.d" / "domain-other.test.toml").write_text('[domains."other.test"]\n')
        await relay.run("dkim", "new", "acme.test")
        async with relay:
            yield relay


def written(relay: LoginRelay) -> dict[str, object]:
    found = tomllib.loads((relay.folder / "conf.d" / "domain-acme.test.toml").read_text())
    return dict(found["domains"]["acme.test"])


async def test_what_dns_has_stands_beside_what_is_wanted(tmp_path: Path) -> None:
    async with relay_with_dns(tmp_path) as relay, person(relay, "olga@acme.test") as olga:
        await olga.post("/domains/acme.test/actions", {"action": "look"})
        assert olga.path.startswith("/domains/acme.test?looking=")
        async with asyncio.timeout(PATIENCE):
            while "<dt>Found</dt>" not in await olga.get("/domains/acme.test"):
                await asyncio.sleep(0.1)
        assert "<code>v=spf1 include:&lt;b&gt;.test -all</code>" in olga.page
        assert "<code>v=DMARC1; p=reject</code>" in olga.page
        assert "Nothing. s1._domainkey.acme.test does not exist: add the record." in olga.page
        assert [one["action"] for one in await relay.json("person", "audit", "--action", "domain")] == ["domain.look"]
        await relay.kill()
        await relay.start()
        await olga.get("/domains/acme.test")
        assert "<code>v=DMARC1; p=reject</code>" in olga.page, "it outlasts a restart"


async def test_switches_and_ways_are_changed_in_its_own_file(tmp_path: Path) -> None:
    async with relay_with_dns(tmp_path) as relay, person(relay, "olga@acme.test") as olga:
        page = "/domains/acme.test/edit"
        await edited(
            olga, page, exclusion="global", fallback_providers="direct", tracking__base_url="https://t.acme.test"
        )
        assert olga.path == "/domains/acme.test?saved=1", olga.page
        assert "Saved. It holds for the next message." in olga.page
        wanted = {
            "dkim": {"selectors": ["s1", "s2"]},
            "tracking": {"base_url": "https://t.acme.test"},
            "fallback_providers": ["direct"],
            "exclusion": "global",
        }
        assert written(relay) == wanted
        await olga.get(page)
        form = {"tracking.opens": "yes", "tracking.base_url": "https://t.acme.test", "dkim.selectors": "s1, s2"}
        version = olga.page.split('name="version" value="')[1].split('"')[0]
        await olga.post(page, form | {"exclusion": "global", "version": version, "provider": "sink"})
        assert olga.path == "/domains/acme.test?saved=1", olga.page
        tracking = {"base_url": "https://t.acme.test", "clicks": False, "skip_sensitive": False}
        assert written(relay) == {
            "dkim": {"selectors": ["s1", "s2"]},
            "tracking": tracking,
            "provider": "sink",
            "exclusion": "global",
        }
        assert (tmp_path / "conf.d" / "domain-acme.test.toml").read_text().startswith("# Owned by sales.\n")
        await edited(olga, page, tracking__base_url="no url", fallback_providers="gone")
        assert (olga.status, "2 fields need a change" in olga.page) == (400, True), olga.page
        assert written(relay)["provider"] == "sink"
        changes = await relay.json("person", "audit", "--action", "domain")
        assert 'provider = "sink"' in changes[0]["after"]

        await olga.get("/domains/hand.test/edit")
        assert "It can only be read here." in olga.page
        assert "relay.toml:" in olga.page


async def test_a_change_that_the_server_refuses_is_undone(tmp_path: Path) -> None:
    async with relay_with_dns(tmp_path) as relay, person(relay, "olga@acme.test") as olga:
        before = written(relay)
        key = tmp_path / "data" / "dkim" / "acme.test" / "s2.pem"
        key.write_text("no key")
        await edited(olga, "/domains/acme.test/edit", exclusion="global")
        assert (olga.status, "Nothing was saved." in olga.page) == (400, True), olga.page
        assert "s2.pem" in olga.page
        assert written(relay) == before
        key.unlink()
        await edited(olga, "/domains/acme.test/edit", exclusion="global")
        assert written(relay)["exclusion"] == "global"


async def test_the_next_key_is_made_after_a_question(tmp_path: Path) -> None:
    async with relay_with_dns(tmp_path) as relay, person(relay, "olga@acme.test") as olga:
        await olga.post("/domains/acme.test/actions", {"action": "rotate", "algorithm": "rsa"})
        assert "Make the next RSA key of acme.test?" in olga.page
        await olga.post(olga.path)
        assert "The key s2 of acme.test is made." in olga.page
        assert "s2._domainkey.acme.test" in await olga.get("/domains/acme.test")
        keys = await relay.json("dkim", "list", "acme.test")
        assert [(one["selector"], one["state"]) for one in keys] == [("s1", "signing"), ("s2", "waiting")]
        await olga.post("/domains/acme.test/actions", {"action": "rotate", "algorithm": "rsa"})
        await olga.post(olga.path)
        assert "No key was made." in olga.page
        await olga.post("/domains/acme.test/actions", {"action": "rotate", "algorithm": "dsa"})
        assert olga.status == 400


async def test_a_domain_is_made_with_its_first_key(tmp_path: Path) -> None:
    async with relay_with_dns(tmp_path) as relay, person(relay, "olga@acme.test") as olga:
        await edited(olga, "/domains/new", domain="no domain")
        assert (olga.status, "It is no domain name." in olga.page) == (400, True)
        await edited(olga, "/domains/new", domain="New.test")
        assert olga.path == "/domains/new.test?saved=1", olga.page
        text = (tmp_path / "conf.d" / "domain-new.test.toml").read_text()
        assert tomllib.loads(text) == {"domains": {"new.test": {"dkim": {"selectors": ["s1", "s2"]}}}}
        await olga.post("/domains/new.test/actions", {"action": "rotate", "algorithm": "ed25519"})
        await olga.post(olga.path)
        assert "The key s1 of new.test is made." in olga.page
        assert "v=DKIM1; k=ed25519" in await olga.get("/domains/new.test")
        await edited(olga, "/domains/new", domain="hand.test")
        assert (olga.status, "relay.toml:" in olga.page) == (400, True)


async def test_a_person_of_one_domain_changes_no_other(tmp_path: Path) -> None:
    async with relay_with_dns(tmp_path) as relay, person(relay, "dora@acme.test") as dora:
        assert (await dora.get("/domains/other.test"), dora.status)[1] == 200
        for path in ("/domains/acme.test/edit", "/domains/acme.test/actions"):
            await dora.post(path, {"action": "rotate", "algorithm": "rsa"})
            assert dora.status == 404
        assert (await dora.get("/domains/acme.test/edit"), dora.status)[1] == 404
        assert (await dora.get("/domains/new"), dora.status)[1] == 403
        await edited(dora, "/domains/other.test/edit", exclusion="global")
        assert (dora.status, "&#39;global&#39; is not one of the choices" in dora.page) == (400, True)
        await edited(dora, "/domains/other.test/edit", exclusion="domain")
        assert dora.path == "/domains/other.test?saved=1"


@pytest.mark.slow
async def test_an_operator_switches_tracking_by_keyboard(tmp_path: Path) -> None:
    async with relay_with_dns(tmp_path) as relay, Keyboard(width=1280, height=900) as operator:
        await operator.first_login(f"{relay.acting_url}/domains/acme.test", "olga@acme.test")
        await operator.go(f"{relay.acting_url}/domains/acme.test")
        await operator.push("Look again now")
        async with asyncio.timeout(PATIENCE):
            while "v=DMARC1; p=reject" not in str(await operator.ask("document.querySelector('main').innerText")):
                await asyncio.sleep(0.1)
        await operator.push("Settings of acme.test")
        await operator.to("tracking.opens")
        assert await operator.ask("document.activeElement.checked")
        await operator.ask("document.activeElement.click()")
        await operator.push("Save changes")
        await operator.says("Saved. It holds for the next message.")
        assert written(relay)["tracking"] == {"opens": False}
        await operator.push("Make the next key")
        await operator.says("Make the next RSA key of acme.test?")
        await operator.push("Make the key")
        await operator.says("The key s2 of acme.test is made.")


@pytest.mark.slow
async def test_the_pages_of_a_domain_in_a_browser(tmp_path: Path) -> None:
    axe.script()
    async with Chromium() as browser, relay_with_dns(tmp_path) as relay:
        await logged_in(browser, relay)
        await relay.run("domain", "look", "acme.test")
        async with asyncio.timeout(PATIENCE):
            while "v=DMARC1; p=reject" not in str(await browser.ask("document.body.innerText")):
                await browser.go(f"{relay.acting_url}/domains/acme.test")
        for path in ("", "/new", "/acme.test", "/acme.test/edit", "/hand.test/edit"):
            await browser.go(f"{relay.acting_url}/domains{path}")
            await looks_right(browser, f"domains{path}")
        assert [one for one in browser.complaints if "status of 4" not in one] == []

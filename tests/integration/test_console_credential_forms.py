"""Credentials are made and changed on the console; a key is shown once."""

import asyncio
import re
from pathlib import Path

from tests.integration.connection_forms import DOMAIN, EVIL, confirmed, written
from tests.integration.test_console_actions import text_of
from tests.integration.test_console_connect import log_in
from tests.integration.test_console_tables import edited, fragment
from tests.servers.login_console import LoginRelay, person
from tests.servers.sink import Sink


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

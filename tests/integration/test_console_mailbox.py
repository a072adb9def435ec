"""The bounce mailbox on the console, with a real Dovecot: its state, its folders, and why a login does not work."""

import asyncio
import re
from pathlib import Path

import pytest

from relay.config.settings import Imap
from relay.console.mailbox import folders_or_fault
from relay.inbound.imap_folders import Folders, read_folders
from tests.integration.test_console_actions import text_of
from tests.integration.test_console_tables import edited, form_of, fragment
from tests.ports import free_port
from tests.servers.actions import Say
from tests.servers.dovecot import PASSWORD, USER, Dovecot, need_dovecot
from tests.servers.login_console import LoginRelay, person
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

EVIL = "<img src=x onerror=alert(1)>"


def mailbox_toml(port: int, more: str = "") -> str:
    return (
        f'[bounces.imap]\nhost = "localhost"\nport = {port}\nusername = "{USER}"\n'
        f'password = "{PASSWORD}"\ninterval = "1s"\n{more}\n'
    )


async def test_the_login_is_tested_and_the_folders_are_listed(tmp_path: Path) -> None:
    need_dovecot()
    async with Dovecot() as dovecot, Sink() as sink:
        with dovecot.mailbox() as client:
            for folder in ("Bounces", EVIL, "Zürich & Söhne"):
                client.create_folder(folder)
        relay = LoginRelay(tmp_path, sink, mailbox_toml(dovecot.port))
        relay.environment = {"SSL_CERT_FILE": str(dovecot.authority)}
        async with relay, person(relay, "olga@acme.test") as olga:
            async with asyncio.timeout(PATIENCE):
                while "The bounce mailbox is read." not in await olga.get("/mailbox"):
                    await asyncio.sleep(0.1)
            assert "Every 1.0 s, from INBOX." in text_of(olga.page)
            await olga.post("/mailbox/test")
            page = text_of(olga.page)
            assert "The server takes the login." in page
            for folder in ("INBOX", "Bounces", "Zürich &amp; Söhne", "&lt;img src=x onerror=alert(1)&gt;"):
                assert folder in page, folder
            assert EVIL not in olga.page
            assert PASSWORD not in olga.page
            (row,) = await relay.json("person", "audit", "--action", "mailbox")
            assert (row["action"], row["subject"], row["after"]) == ("mailbox.test", "localhost", "works")


async def test_a_mailbox_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    need_dovecot()
    async with Dovecot() as dovecot, Sink() as sink:
        toml = mailbox_toml(dovecot.port).replace(PASSWORD, "wrong")
        relay = LoginRelay(tmp_path, sink, toml)
        relay.environment = {"SSL_CERT_FILE": str(dovecot.authority)}
        async with relay, person(relay, "olga@acme.test") as olga:
            await olga.post("/mailbox/test")
            assert "The login does not work." in text_of(olga.page)
            assert f"login of {USER} was refused" in text_of(olga.page)
            async with asyncio.timeout(PATIENCE):
                while "The bounce mailbox cannot be read." not in await olga.get("/mailbox"):
                    await asyncio.sleep(0.1)


async def test_a_mailbox_is_set_up_with_a_folder_of_the_server(tmp_path: Path) -> None:
    need_dovecot()
    async with Dovecot() as dovecot, Sink() as sink:
        with dovecot.mailbox() as client:
            for folder in ("Bounces", EVIL):
                client.create_folder(folder)
        relay = LoginRelay(tmp_path, sink)
        relay.environment = {"SSL_CERT_FILE": str(dovecot.authority)}
        async with relay, person(relay, "otto@acme.test") as otto, person(relay, "olga@acme.test") as olga:
            await olga.get("/mailbox/edit")
            assert (olga.status, "a mailbox has a password" in olga.page) == (403, True)
            account = {"host": "localhost", "port": str(dovecot.port), "tls": "implicit", "username": USER}
            for wrong, fault in (
                ({"password": "wrong"}, f"login of {USER} was refused"),
                ({"port": str(dovecot.plain_port)}, "IMAP without TLS"),
                ({"port": str(free_port())}, "connect failed"),
                ({"port": "none"}, "is not a whole number"),
                ({"host": "no host!"}, "is not"),
                ({"host": "127.0.0.1", "tls": "none", "port": str(sink.port)}, "not IMAP"),
                ({"host": "169.254.169.254"}, "where no mail server is"),
            ):
                await edited(otto, "/mailbox/edit", **(account | {"password": PASSWORD, "do": "folder"} | wrong))
                assert (otto.status, fault in otto.page) == (400, True), (wrong, text_of(otto.page))
            await edited(otto, "/mailbox/edit", **account, password=PASSWORD, do="folder")
            assert "3 folders to choose from." in text_of(otto.page)
            assert PASSWORD not in otto.page
            assert EVIL not in otto.page
            found = re.search(r'<select id="f-folder"[^>]*>(.*?)</select>', otto.page)
            assert found
            names = re.findall(r'<option value="([^"]*)"', found[1])
            assert names == ["&lt;img src=x onerror=alert(1)&gt;", "Bounces", "INBOX"]
            assert not (tmp_path / "conf.d").exists()

            chosen = form_of(otto.page) | {"folder": "Bounces"}
            await otto.post("/mailbox/edit", chosen | {"interval": "soon"})
            assert (otto.status, 'value="Bounces" selected' in otto.page) == (400, True), "the choice is still there"
            await otto.post("/mailbox/edit", form_of(otto.page) | {"interval": "1s"})
            assert (otto.status, otto.path) == (200, "/mailbox?saved=1"), text_of(otto.page)
            table = fragment(relay, "mailbox-imap.toml")["bounces"]["imap"]  # type: ignore[index]
            assert (table["folder"], table["username"], "password" in table) == ("Bounces", USER, False)
            await otto.post("/mailbox/test")
            assert "The server takes the login." in text_of(otto.page)

            # An operator chooses another folder, with the stored password; the account is the owner's.
            await edited(olga, "/mailbox/edit", do="folder", host="localhost", port=str(free_port()))
            assert "3 folders to choose from." in text_of(olga.page)
            assert 'name="host"' not in olga.page
            await olga.post("/mailbox/edit", form_of(olga.page) | {"folder": EVIL})
            assert (olga.status, olga.path) == (200, "/mailbox?saved=1"), text_of(olga.page)
            assert EVIL not in olga.page
            await edited(otto, "/mailbox/edit", host="127.0.0.1")
            assert (otto.status, "enter the password for it" in otto.page) == (400, True)
            await olga.post("/mailbox/actions", {"action": "mailbox.remove"})
            assert olga.status == 403
            await otto.post("/mailbox/actions", {"action": "mailbox.remove"})
            await otto.post(otto.path)
            assert "is not read any more" in text_of(otto.page)
            assert list((tmp_path / "secrets").iterdir()) == []
            assert PASSWORD not in relay.log_file.read_text() + await otto.get("/audit")


async def test_a_relay_without_a_mailbox_says_so(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, person(relay, "olga@acme.test") as olga:
        assert "There is no bounce mailbox." in await olga.get("/mailbox")
        await olga.post("/mailbox/test")
        assert olga.status == 400


async def read(account: Imap) -> Folders:
    return await asyncio.to_thread(read_folders, account)


@pytest.mark.parametrize("greeting", ["SSH-2.0-Internal_7.4 secret-banner", "-ERR secret-banner"])
async def test_the_octets_of_another_service_are_not_shown(greeting: str) -> None:
    async with Sink() as other:
        other.always("greeting", Say(greeting))
        account = Imap(host="127.0.0.1", port=other.port, tls="none", username="a", handled="leave")
        found, fault = await folders_or_fault(read, account)
        assert found is None
        assert "secret-banner" not in fault
        assert "the greeting is not that of IMAP" in fault
        other.always("greeting", Say("* BYE too many connections"))
        assert "too many connections" in (await folders_or_fault(read, account))[1]
    nobody = Imap(host="127.0.0.1", port=free_port(), tls="none", username="a", handled="leave")
    assert "connect failed" in (await folders_or_fault(read, nobody))[1]


async def test_what_holds_without_a_key_is_shown_where_it_can_only_be_read(tmp_path: Path) -> None:
    mailbox = (
        '[bounces.imap]\nhost = "127.0.0.1"\nport = 9\ntls = "none"\nusername = "b@acme.test"\npassword = "none"\n'
    )
    async with Sink() as sink, LoginRelay(tmp_path, sink, mailbox) as relay, person(relay, "otto@acme.test") as otto:
        page = text_of(await otto.get("/mailbox/edit"))
        for text in ("INBOX, by default", "Move it to another folder, by default", "Handled, by default"):
            assert text in page, page
        assert "1m, by default" in page
        assert "nothing" not in page

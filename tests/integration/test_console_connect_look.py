"""The forms of providers, mailbox, webhooks and credentials in Chromium, and an owner's afternoon by keyboard alone."""

import asyncio
import smtplib
from pathlib import Path

import pytest

from tests.integration.connection_forms import auth_sink
from tests.integration.page_checks import looks_right
from tests.integration.test_console_afternoons import Keyboard
from tests.servers import axe
from tests.servers.login_console import LoginRelay
from tests.servers.sink import Sink
from tests.servers.webhook_receiver import Receiver

MORE = """
[domains."acme.test"]
[identities."shop@acme.test"]
[[provider]]
name = "news"
host = "127.0.0.1"
port = 9
tls = "none"
[[webhook]]
name = "crm"
url = "http://127.0.0.1:9/hook"
allow_networks = ["127.0.0.1/32"]
[bounces.imap]
host = "127.0.0.1"
port = 9
tls = "none"
username = "bounces@acme.test"
password = "none"
"""

CREDENTIAL = """
[credentials.shop]
secret_hash = "blake2b:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""

FILES = {
    "provider-own.toml": '[[provider]]\nname = "own"\nhost = "localhost"\nport = 9\ntls = "none"\n',
    "webhook-chat.toml": '[[webhook]]\nname = "chat"\nurl = "https://chat.acme.test/hook"\n',
    "credential-shop.toml": CREDENTIAL.lstrip(),
}
"""Tables that the console may change."""

PAGES = (
    *("/providers", "/providers/new", "/providers/own", "/providers/own/edit", "/providers/news/edit"),
    *("/mailbox", "/mailbox/edit", "/webhooks", "/webhooks/new", "/webhooks/chat", "/webhooks/chat/edit"),
    *("/credentials", "/credentials/new", "/credentials/shop", "/credentials/shop/edit"),
)

LISTS = ("/providers", "/webhooks", "/credentials", "/credentials/shop")


@pytest.mark.slow
async def test_the_pages_in_a_browser(tmp_path: Path) -> None:
    axe.script()
    (tmp_path / "conf.d").mkdir()
    for name, text in FILES.items():
        (tmp_path / "conf.d" / name).write_text(text)
    async with (
        Keyboard() as browser,
        Sink() as sink,
        LoginRelay(tmp_path, sink, MORE) as relay,
    ):
        await browser.first_login(f"{relay.acting_url}/providers", "otto@acme.test")
        for path in PAGES:
            await browser.go(relay.acting_url + path)
            await looks_right(browser, f"acting{path}")
            if path in LISTS:
                assert await browser.ask("document.querySelectorAll('table.cards tbody tr').length") > 0, path
        await browser.go(f"{relay.acting_url}/providers/new")
        await browser.fill(name="bad name", host="no host!")
        await browser.push("Test connection")
        await looks_right(browser, "acting-faults")
        assert "aria-invalid" in str(await browser.ask("document.querySelector('#f-name').outerHTML"))
        # The browser notes the status of a page with faults, and has hints about fields for its own store of passwords.
        hints = ("[DOM]", "Failed to load resource: the server responded with a status of 4")
        assert [one for one in browser.complaints if not one.startswith(hints)] == []


def submit(port: int, key: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.login("shop", key)
        mail = "From: shop@acme.test\r\nTo: ada@reader.test\r\nSubject: Order 7\r\n\r\nHello\r\n"
        client.sendmail("shop@acme.test", ["ada@reader.test"], mail)


@pytest.mark.slow
async def test_an_operators_afternoon(tmp_path: Path) -> None:
    async with (
        Sink() as sink,
        auth_sink() as service,
        Receiver() as receiver,
        LoginRelay(tmp_path, sink, '[domains."acme.test"]\n') as relay,
        Keyboard(width=1280, height=900) as owner,
    ):
        url = relay.acting_url
        await owner.first_login(f"{url}/providers", "otto@acme.test")
        await owner.go(f"{url}/providers")
        await owner.push("Add provider")
        await owner.fill(name="news", host="127.0.0.1", port=str(service.port))
        await owner.to("STARTTLS TLS from the start None, only on this machine")
        await owner.ask("document.activeElement.value = 'none'")
        await owner.fill(username="acme", password="hunter2-hunter2")
        await owner.push("Test connection")
        await owner.says("The server takes the login.")
        await owner.push("Save")
        await owner.says("Saved. It holds for the next message.")

        await owner.go(f"{url}/webhooks")
        await owner.push("New webhook")
        await owner.fill(name="crm", url=receiver.url, allow_networks="127.0.0.0/8")
        await owner.push("Save")
        await owner.says("Secret to check signatures, shown only once")
        await owner.push("Go on")

        await owner.go(f"{url}/credentials")
        await owner.push("New credential")
        await owner.fill(name="shop")
        await owner.press("Enter", loads=True)
        await owner.says("shown only once")
        key = str(await owner.ask("document.querySelector('main code').textContent"))
        await owner.push("Go on")
        await owner.says("Never used.")

        await owner.go(f"{url}/identities")
        await owner.push("New email identity")
        await owner.fill(display_name="Shop", address="shop@acme.test")
        await owner.ask("document.querySelector('#f-provider').value = 'news'")
        await owner.push("Save")
        await owner.says("Saved.")

        await asyncio.to_thread(submit, relay.port, key)
        (mail,) = await service.received(1)
        assert b"Order 7" in mail.content
        posts = await receiver.wait_for(1)
        assert posts[0].headers["webhook-signature"].startswith("v1,")

        await owner.go(f"{url}/providers/news")
        await owner.push("Pause news")
        await owner.push("Pause it")
        await owner.says("The provider news is paused.")
        await owner.push("Go on")
        await owner.says("Provider news is paused.")
        await asyncio.to_thread(submit, relay.port, key)
        await owner.push("Resume news")
        await owner.push("Resume it")
        await owner.says("The provider news is resumed.")
        await service.received(2)
        assert sink.messages == []

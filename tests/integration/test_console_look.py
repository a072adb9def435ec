"""The console in Chromium: on phones, tablets and desks, light and dark; what strangers wrote acts nowhere."""

import asyncio
from pathlib import Path

import pytest

from tests.integration.page_checks import looks_right
from tests.servers import axe
from tests.servers.actions import Say
from tests.servers.chromium import Chromium
from tests.servers.console_harness import ConsoleRelay
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

EVIL = "<img src=x onerror=\"document.title='owned'\">'&"

SENDERS = """
[domains."acme.test"]
[identities."news@acme.test"]
display_name = "Acme News <b>"
company = "Acme Ltd"
[[webhook]]
name = "crm"
url = "http://127.0.0.1:9/hook"
allow_networks = ["127.0.0.1/32"]
[credentials.shop]
secret_hash = "blake2b:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
domains = ["acme.test"]
"""

PAGES = (
    *("/", "/messages", "/messages?q=invoice&status=waiting", "/messages?q=none%40x.test", "/messages/{bad}"),
    *("/messages/{waits}", "/queue", "/queue?state=waiting", "/queue?site=none.test", "/bounces"),
    *("/bounces?span=day&reply=550+5.1.1+No+such+user", "/domains", "/domains/acme.test", "/identities"),
    *("/identities/news@acme.test", "/providers", "/providers/sink", "/providers/direct", "/mailbox"),
    *("/suppressions", "/suppressions?q=none@x.test", "/unsubscribes", "/webhooks", "/webhooks/crm", "/credentials"),
    *("/credentials/shop", "/none"),
)

LISTS = (
    "/messages",
    "/queue",
    "/queue?state=waiting",
    "/domains",
    "/identities",
    "/providers",
    "/suppressions",
    "/webhooks",
    "/credentials",
    "/credentials/shop",
)


async def fill(relay: ConsoleRelay, sink: Sink) -> dict[str, str]:
    """Send mail whose texts are those of a stranger."""
    fields = {"X-Relay-Meta-invoice": EVIL, "X-Relay-Tag": EVIL, "Content-Type": "text/html"}
    good = await relay.send("good@rcpt.test", "Your invoice", fields={"X-Relay-Meta-invoice": "1042"})
    sink.once("RCPT", Say(f"550 5.1.1 {EVIL}"))
    bad = await relay.send('"<b>bad"@rcpt.test', EVIL, "<2@acme.test>", fields)
    sink.always("RCPT", Say(f"452 4.2.2 Mailbox full {EVIL}"))
    link = "<a href='https://evil.test/\"><script>document.title=1</script>'>a</a>"
    body = f"{link}{EVIL}<script>top.document.title='owned'</script>\r\n"
    to = "a.very.long.address.of.somebody@a-long-domain-name.rcpt.test"
    waits = await relay.send(to, f"invoice {EVIL}", "<3@acme.test>", fields, body)
    await relay.shows("/", r"<span>Bounced</span><b>1</b>")
    return {"good": good, "bad": bad, "waits": waits}


@pytest.mark.slow
async def test_all_pages_in_a_browser(tmp_path: Path) -> None:
    axe.script()
    async with Chromium() as browser, Sink() as sink, ConsoleRelay(tmp_path, sink, more=SENDERS) as relay:
        names = await fill(relay, sink)
        for page in PAGES:
            path = page.format(**names)
            await browser.go(relay.url + path)
            await looks_right(browser, path, is_list=path in LISTS)
            if path in LISTS:
                assert await browser.ask("document.querySelectorAll('table.cards tbody tr').length") > 0, path
        assert [one for one in browser.complaints if "404" not in one] == []


async def test_the_menu_of_a_phone_opens_without_scripts_and_by_keyboard(tmp_path: Path) -> None:
    axe.script()
    async with (
        Chromium(width=390, height=800) as browser,
        Sink() as sink,
        ConsoleRelay(tmp_path, sink) as relay,
    ):
        await browser.call("Emulation.setScriptExecutionDisabled", value=True)
        await browser.go(relay.url)
        await browser.call("Emulation.setScriptExecutionDisabled", value=False)
        assert not await browser.ask("document.querySelector('.nav').checkVisibility()")
        await browser.ask("document.querySelector('.menu').focus()")
        await browser.press("Enter")
        assert await browser.ask("document.querySelector('.nav').checkVisibility()")
        assert await axe.violations(browser) == []


async def test_a_search_by_keyboard(tmp_path: Path) -> None:
    async with Chromium() as browser, Sink() as sink, ConsoleRelay(tmp_path, sink) as relay:
        await relay.send("good@rcpt.test", "Your invoice", fields={"X-Relay-Meta-invoice": "1042"})
        await relay.send("good@rcpt.test", "Another invoice", "<2@acme.test>")
        await browser.go(relay.url)
        await browser.ask("document.querySelector('#find').focus()")
        await browser.type("invoice=1042")
        await browser.press("Enter", loads=True)
        assert await browser.ask("document.querySelector('h1').textContent") == "Your invoice"
        await browser.ask("document.querySelector('#find').focus()")
        await browser.type("inv")
        await browser.press("Enter", loads=True)
        assert await browser.ask("document.querySelectorAll('table.cards tbody tr').length") == 2


async def test_the_verdict_is_renewed_by_itself(tmp_path: Path) -> None:
    async with Chromium() as browser, Sink() as sink, ConsoleRelay(tmp_path, sink) as relay:
        await browser.go(relay.url)
        assert await browser.ask("document.querySelector('#live .tiles b').textContent") == "0"
        await relay.send("good@rcpt.test")
        await relay.shows("/", r"<span>Delivered</span><b>1</b>")
        async with asyncio.timeout(PATIENCE):
            while await browser.ask("document.querySelector('#live .tiles b').textContent") != "1":
                await asyncio.sleep(0.1)
        assert browser.complaints == []

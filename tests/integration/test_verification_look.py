"""The pages that verify an address, in a real browser: an owner without a shell uses them on a phone and at a desk."""

import re
from pathlib import Path

import pytest

from tests.integration.page_checks import CONTRAST, suits_every_window
from tests.servers.chromium import Chromium
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Received, Sink

JANE = "jane@acme.test"

IDENTITY = f"""
[identities."{JANE}"]
"""


async def is_page(browser: Chromium, title: str) -> None:
    """Check what every page must be, and that it is the one with that title."""
    assert await browser.ask("document.querySelector('h1').textContent") == title
    assert await browser.ask(CONTRAST) >= 4.5
    assert await browser.ask("document.documentElement.scrollWidth <= innerWidth")
    assert await browser.ask("[...document.querySelectorAll('input, button')].every(e => e.type == 'hidden' || "
                             "e.getBoundingClientRect().height >= 44)")  # fmt: skip
    assert await browser.ask("performance.getEntriesByType('resource').length") == 0
    assert [one for one in browser.complaints if "status of 4" not in one] == []
    await suits_every_window(browser, title)


def found(mail: Received, pattern: bytes) -> str:
    match = re.search(pattern, mail.content)
    assert match is not None
    return match[1].decode()


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1200, False)])
async def test_an_owner_types_address_and_code_and_reads_verified(tmp_path: Path, width: int, dark: bool) -> None:
    async with (
        Chromium(width=width, height=844, dark=dark) as browser,
        Sink() as sink,
        RelayProcess(tmp_path, sink.port, IDENTITY) as relay,
    ):
        await browser.go(f"http://127.0.0.1:{relay.tracker_port}/verify")
        await is_page(browser, "Verify your address")
        assert await browser.ask("document.activeElement.labels[0].textContent") == "Your address"
        await browser.type(JANE)
        await browser.press("Enter", loads=True)
        await is_page(browser, "Type in the code")
        (mail,) = await sink.received(1)
        assert mail.recipients == [JANE]
        code = found(mail, rb"Subject: (\d{6}) is the code")
        page = found(mail, rb"(http://\S+/verify), within 10 minutes")
        assert page == f"http://127.0.0.1:{relay.tracker_port}/verify"
        assert b"relay identity" not in mail.content

        await browser.type("000000" if code != "000000" else "111111")
        await browser.press("Enter", loads=True)
        await is_page(browser, "Type in the code")
        assert "not the code of the newest mail" in await browser.ask("document.querySelector('#fault').textContent")
        await browser.type(f"{code[:3]} {code[3:]}")
        await browser.press("Enter", loads=True)
        await is_page(browser, "Your address is verified")
        text = await browser.ask("document.querySelector('[role=status]').innerText")
        assert re.fullmatch(rf"{JANE}\nverified, \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC", text)
        (listed,) = await relay.json("identity", "list")
        assert (listed["address"], listed["verified_by"]) == (JANE, "mail")


async def test_the_link_in_the_mail_opens_a_page_with_the_address_and_a_button(tmp_path: Path) -> None:
    async with (
        Chromium(width=390, height=844) as browser,
        Sink() as sink,
        RelayProcess(tmp_path, sink.port, IDENTITY) as relay,
    ):
        await relay.run("identity", "verify", JANE, check=False)
        (mail,) = await sink.received(1)
        link = found(mail, rb"(http://\S+/v/[\w-]+)")
        await browser.go(link)
        await is_page(browser, "Confirm your address")
        assert JANE in await browser.ask("document.querySelector('main p').textContent")
        await browser.press("Tab")
        assert await browser.ask("document.activeElement.textContent") == "Confirm"
        await browser.press("Enter", loads=True)
        await is_page(browser, "Your address is verified")

        await browser.go(link[:-1] + ("A" if link[-1] != "A" else "B"))
        assert await browser.ask("document.querySelector('h1').textContent") == "This link does not work"
        await relay.run("identity", "verify", JANE, check=False)
        await sink.received(2)
        await browser.go(link)
        await is_page(browser, "This link is too old")
        await browser.ask("document.querySelector('a').focus()")
        await browser.press("Enter", loads=True)
        await is_page(browser, "Verify your address")

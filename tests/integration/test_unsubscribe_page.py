"""The page that unsubscribes, in a real browser: seen, read and used without a mouse, and it loads nothing else."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.integration.page_checks import CONTRAST
from tests.integration.unsubscribe_relay import Relay
from tests.servers.chromium import Chromium
from tests.servers.sink import Sink


async def looks_right(browser: Chromium, title: str) -> None:
    """Check what every page must be, and that it is the one with that title."""
    assert await browser.ask("document.querySelector('h1').textContent") == title
    assert await browser.ask("document.title") == title
    assert await browser.ask("document.documentElement.lang") == "en"
    assert await browser.ask(CONTRAST) >= 4.5
    assert await browser.ask("document.documentElement.scrollWidth <= innerWidth")
    assert await browser.ask("getComputedStyle(document.querySelector('main')).borderRadius") != "0px"
    assert await browser.ask("performance.getEntriesByType('resource').length") == 0
    assert browser.complaints == []


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1200, False), (1200, True)])
async def test_the_button_unsubscribes_and_the_page_shows_it(tmp_path: Path, width: int, dark: bool) -> None:
    async with Chromium(width=width, dark=dark) as browser, Sink() as sink, Relay(tmp_path, sink) as relay:
        await relay.send("spring")
        (got,) = await sink.received(1)
        match = re.search(rb"List-Unsubscribe: <https://t\.acme\.test(/u/[\w-]+)>", got.content)
        assert match is not None
        url = f"http://127.0.0.1:{relay.tracker_port}{match[1].decode()}"
        await browser.go(url)
        await looks_right(browser, "Unsubscribe from these emails?")
        assert await relay.json("unsubscribe", "list") == []
        await browser.press("Tab")
        assert await browser.ask("document.activeElement.textContent") == "Unsubscribe"
        assert await browser.ask("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
        await browser.press("Enter", loads=True)
        await looks_right(browser, "You are unsubscribed")
        (entry,) = await relay.listed(1)
        assert (entry["address"], entry["campaign"], entry["source"]) == ("u@rcpt.test", "spring", "page")
        await browser.go(url)
        await looks_right(browser, "You are already unsubscribed")
        await browser.go(f"{url[:-1]}{'A' if url[-1] != 'A' else 'B'}")
        await asyncio.sleep(0)
        assert await browser.ask("document.querySelector('h1').textContent") == "This link does not work"

"""The page that unsubscribes, in a real browser: seen, read and used without a mouse, and it loads nothing else."""

import asyncio
import re
from itertools import product
from pathlib import Path

from tests.integration.page_checks import CONTRAST, suits_every_window
from tests.integration.unsubscribe_relay import Relay
from tests.servers.chromium import Chromium
from tests.servers.sink import Sink


async def is_page(browser: Chromium, title: str) -> None:
    """Check what every page must be, and that it is the one with that title."""
    assert await browser.ask("document.querySelector('h1').textContent") == title
    assert await browser.ask("document.title") == title
    assert await browser.ask("document.documentElement.lang") == "en"
    assert await browser.ask(CONTRAST) >= 4.5
    assert await browser.ask("document.documentElement.scrollWidth <= innerWidth")
    assert await browser.ask("getComputedStyle(document.querySelector('main')).borderRadius") != "0px"
    assert await browser.ask("performance.getEntriesByType('resource').length") == 0
    assert browser.complaints == []
    await suits_every_window(browser, title)


async def test_the_button_unsubscribes_and_the_page_shows_it(tmp_path: Path) -> None:
    """Narrow and wide, light and dark: each campaign is read in another way."""
    async with Sink() as sink, Relay(tmp_path, sink) as relay:
        for done, (width, dark) in enumerate(product((360, 1200), (False, True))):
            campaign = f"spring-{width}-{dark}"
            await relay.send(campaign)
            *_, got = await sink.received(done + 1)
            match = re.search(rb"List-Unsubscribe: <https://t\.acme\.test(/u/[\w-]+)>", got.content)
            assert match is not None
            async with Chromium(width=width, dark=dark) as browser:
                await unsubscribe(browser, f"http://127.0.0.1:{relay.tracker_port}{match[1].decode()}", relay, done)
            entries = {entry["campaign"]: entry for entry in await relay.listed(done + 1)}
            assert (entries[campaign]["address"], entries[campaign]["source"]) == ("u@rcpt.test", "page")


async def unsubscribe(browser: Chromium, url: str, relay: Relay, before: int) -> None:
    """Unsubscribe with the keyboard, from a page that alone changes nothing: the list keeps its length."""
    await browser.go(url)
    await is_page(browser, "Unsubscribe from these emails?")
    assert len(await relay.json("unsubscribe", "list")) == before
    await browser.press("Tab")
    assert await browser.ask("document.activeElement.textContent") == "Unsubscribe"
    assert await browser.ask("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
    await browser.press("Enter", loads=True)
    await is_page(browser, "You are unsubscribed")
    await relay.listed(before + 1)
    await browser.go(url)
    await is_page(browser, "You are already unsubscribed")
    await browser.go(f"{url[:-1]}{'A' if url[-1] != 'A' else 'B'}")
    await asyncio.sleep(0)
    assert await browser.ask("document.querySelector('h1').textContent") == "This link does not work"

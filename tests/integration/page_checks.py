"""Checks of pages in a browser."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path

from tests.servers import axe
from tests.servers.chromium import Chromium

CONTRAST = r"""
(() => {
  const channel = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.match(/[\d.]+/g).map(Number).map(channel);
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor; if (c !== 'rgba(0, 0, 0, 0)') return c; }
    return 'rgb(255, 255, 255)'; };
  return Math.min(...[...document.querySelectorAll('h1, p, button')].map(e => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    return (a + .05) / (b + .05); }));
})()
"""
"""The least contrast between a text and what is behind it (WCAG 2.2, 1.4.3 asks for 4.5)."""

HIDDEN = """
[...document.querySelectorAll('table.cards tbody tr')].filter(row => {
    const badge = row.querySelector('.badge');
    if (!badge) return true;
    const box = badge.getBoundingClientRect();
    return !box.width || box.left < 0 || box.right > innerWidth || box.top > row.getBoundingClientRect().top + 40;
}).length
"""
"""Rows of lists whose status is not in sight at their top."""

SMALL = """
[...document.querySelectorAll('.btn, .nav a, .chips a, input, select')].filter(one => {
    const box = one.getBoundingClientRect();
    return box.width && !one.closest('.sr, .skip') && box.height < (innerWidth < 1024 ? 43.5 : 35.5)
        && !['hidden', 'checkbox', 'radio'].includes(one.type);
}).map(one => one.outerHTML.slice(0, 80))
"""
"""Things to touch that are too low for a finger."""

CUT = """
[...document.querySelectorAll('main *')].filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth
    && getComputedStyle(one).display != 'inline'
    && !one.closest('.sr, svg, select, input, .cards thead')).map(one => one.outerHTML.slice(0, 120))
"""
"""Elements whose content is wider than they are."""

WIDTHS = (390, 768, 1280)
"""CSS pixels of a phone, a tablet and a desk."""


async def looks_right(browser: Chromium, name: str, *, is_list: bool = True) -> None:
    """Check what every page of the console must be, at each width, light and dark.

    Only colours differ in the dark: all that axe-core finds besides, it finds in the light.
    """
    async for width, dark, shown in windows(browser, name):
        assert await axe.violations(browser, only="color-contrast" if dark else "") == [], shown
        if dark:
            continue
        await _is_laid_out(browser, shown, width)
        assert not is_list or await browser.ask(HIDDEN) == 0, shown


async def suits_every_window(browser: Chromium, name: str) -> None:
    """Check a public page at each width, light and dark."""
    async for width, _, shown in windows(browser, name):
        assert await browser.ask("document.documentElement.scrollWidth") <= width, shown
        assert (contrast := await browser.ask(CONTRAST)) >= 4.5, (shown, contrast)
        assert await axe.violations(browser) == [], shown


async def windows(browser: Chromium, name: str) -> AsyncIterator[tuple[int, bool, str]]:
    """Show the page at each width, light and dark; yield width, darkness and a name. It is as before afterwards."""
    for width in WIDTHS:
        for dark in (False, True):
            await browser.appear(width, 900, dark=dark)
            shown = f"{name}-{width}-{'dark' if dark else 'light'}"
            await keep_picture(browser, shown)
            yield width, dark, shown
    await browser.appear_as_at_first()


async def _is_laid_out(browser: Chromium, name: str, width: int) -> None:
    assert await browser.ask("document.title") not in ("owned", "1"), name
    # A phone shows a page that is too wide by making its window wider.
    assert await browser.ask("document.documentElement.scrollWidth") <= width, name
    assert (cut := await browser.ask(CUT)) == [], (name, cut)
    assert await browser.ask("document.querySelectorAll('h1').length") == 1, name
    assert await browser.ask("document.querySelectorAll('img, [style], [onerror]').length") == 0, name
    assert await browser.ask(SMALL) == [], name


async def keep_picture(browser: Chromium, name: str) -> None:
    """Keep a picture of the whole page in the folder that RELAY_TEST_PICTURES names, if it names one."""
    folder = os.environ.get("RELAY_TEST_PICTURES")
    if folder is None:
        return
    height = min(await browser.ask("document.documentElement.scrollHeight"), 4000)
    width = await browser.ask("innerWidth")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    taken = await browser.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    file = Path(folder) / f"{name.replace('/', '_')}.png"
    await asyncio.to_thread(file.write_bytes, base64.b64decode(taken["data"]))

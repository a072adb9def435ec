"""How the pages look that stand before the console: login, password, app; and those that refuse something."""

from pathlib import Path

import pytest

from tests.integration.page_checks import looks_right
from tests.integration.test_console_afternoons import Keyboard
from tests.servers import axe
from tests.servers.login_console import CODE, PASSWORD, LoginRelay, person
from tests.servers.sink import Sink

FILES = {
    "domain-old.test.toml": '[domains."old.test"]\n',
    "domain-used.test.toml": '[domains."used.test"]\n',
    "identity-jane@used.test.toml": '[identities."jane@used.test"]\n',
}

REFUSALS = (
    *("/none", "/people", "/confirm/none", "/messages?status=none", "/domains/none.test", "/identities/x@none.test"),
    *("/messages/1M8PWY6BNNZFMM", "/providers/none", "/queue?state=none"),
)


@pytest.mark.slow
async def test_pages_before_the_console_and_refusals_in_a_browser(tmp_path: Path) -> None:
    axe.script()
    (tmp_path / "conf.d").mkdir()
    for name, text in FILES.items():
        (tmp_path / "conf.d" / name).write_text(text)
    async with (
        Sink() as sink,
        LoginRelay(tmp_path, sink) as relay,
        Keyboard() as browser,
    ):
        url = relay.acting_url
        await browser.go(f"{url}/login")
        await looks_right(browser, "login")
        await browser.fill(email="olga@acme.test", pw="not the password")
        await browser.press("Enter", loads=True)
        await browser.says("is wrong")
        await looks_right(browser, "login-fault")
        await browser.go(f"{url}/login")
        await browser.fill(email="olga@acme.test", pw=CODE)
        await browser.press("Enter", loads=True)
        await browser.says("Choose a password")
        await looks_right(browser, "password-first")
        await browser.fill(present=CODE, new="short", again="other")
        await browser.press("Enter", loads=True)
        await looks_right(browser, "password-first-fault")
        await browser.go(f"{url}/password")
        await browser.fill(present=CODE, new=PASSWORD, again=PASSWORD)
        await browser.press("Enter", loads=True)
        await browser.go(f"{url}/password")
        await browser.says("Change your password")
        await looks_right(browser, "password")
        await browser.go(f"{url}/app")
        await looks_right(browser, "app")
        await browser.fill(code="000000")
        await browser.press("Enter", loads=True)
        await browser.says("does not fit")
        await looks_right(browser, "app-fault")

        for path in REFUSALS:
            await browser.go(url + path)
            await looks_right(browser, f"refused{path}")
        for domain, words in (("used.test", "used.test is in use"), ("old.test", "Remove old.test?")):
            await browser.go(f"{url}/domains/{domain}")
            await browser.push("Remove this domain")
            await browser.says(words)
            await looks_right(browser, f"remove-{domain}")
        await browser.push("Remove")
        await browser.says("old.test is removed.")
        await looks_right(browser, "removed")
        assert [one for one in browser.complaints if "status of 4" not in one] == []


@pytest.mark.slow
async def test_the_page_of_the_first_person_who_needs_an_app_in_a_browser(tmp_path: Path) -> None:
    axe.script()
    async with (
        Sink() as sink,
        LoginRelay(tmp_path, sink, console="require_totp = true") as relay,
        Keyboard() as browser,
    ):
        async with person(relay, "otto@acme.test"):
            pass
        await browser.go(f"{relay.acting_url}/people")
        await browser.fill(email="otto@acme.test", pw=PASSWORD)
        await browser.press("Enter", loads=True)
        assert str(await browser.ask("location.pathname")) == "/app"
        await looks_right(browser, "app-first")

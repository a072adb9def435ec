"""An identity owner's afternoon in a browser, by keyboard alone; and how the forms of identities look."""

import asyncio
from pathlib import Path

import pytest

from tests.integration.page_checks import looks_right
from tests.integration.test_console_afternoons import Keyboard
from tests.integration.test_identities import code_in, relay_and_mailbox
from tests.ports import free_port
from tests.servers import axe
from tests.servers.chromium import Chromium
from tests.servers.login_console import PASSWORD, PEOPLE, LoginRelay, Person, people_toml
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

SENDERS = """
[limits]
identity_daily_ceiling = 250
[domains."acme.test"]
[identities."hand@acme.test"]
company = "Acme Ltd"
[[provider]]
name = "newsletter"
host = "smtp.news.test"
"""


async def until_shown(browser: Keyboard, text: str) -> None:
    """Wait until the page shows a text without being loaded again."""
    async with asyncio.timeout(PATIENCE):
        while text not in " ".join(str(await browser.ask("document.querySelector('main').innerText")).split()):
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_an_owner_makes_an_identity_tests_it_and_sends(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    more = f'[console]\naddress = "127.0.0.1:{port}"\n{people_toml(PEOPLE)}'
    async with (
        relay_and_mailbox(tmp_path, more=more) as (relay, mailbox),
        Keyboard(width=390, height=844) as owner,
    ):
        await owner.first_login(f"{url}/identities", "otto@acme.test")
        await owner.go(f"{url}/identities")
        await owner.says("There is no identity yet.")
        await owner.push("New email identity")
        await owner.fill(display_name="Jane Doe", company="Acme Ltd", forward_to="owner@reader.test")
        await owner.push("Save")
        await owner.says("Saved. It holds for the next message.")
        await owner.says("jane.doe@acme.test: three steps are open.")

        await owner.push("Test email setup")
        await until_shown(owner, "Receiving Waits")
        await until_shown(owner, "Sending Verified")
        await until_shown(owner, "Tracking Verified")
        code, _, _ = await code_in(mailbox, 2)
        await owner.fill(otp="000000" if code != "000000" else "111111")
        await owner.press("Enter", loads=True)
        await owner.says("The code is another one; 4 more tries.")
        await owner.to("otp")
        await owner.ask("document.activeElement.select()")
        await owner.type(code)
        await owner.press("Enter", loads=True)
        await owner.says("Email identity seems to be correctly set up.")
        await owner.says("all steps are verified.")

        await owner.push("Settings of jane.doe@acme.test")
        await owner.fill(daily_limit="400")
        await owner.push("Save changes")
        await owner.says("Nothing was saved. One field needs a change.")
        await owner.to("daily_limit")
        await owner.ask("document.activeElement.select()")
        await owner.fill(daily_limit="120")
        await owner.push("Save changes")
        await owner.says("Saved. It holds for the next message.")
        await owner.says("of 120")

        await owner.says("Verified by DNS")
        assert (await relay.campaign("jane.doe@acme.test")).startswith("250 ")
        async with asyncio.timeout(PATIENCE):
            while "u@reader.test" not in str(await owner.ask("document.querySelector('main').innerText")):
                await owner.go(f"{url}/messages?from=jane.doe@acme.test")
        await owner.says("Delivered")


PAGES = ("/identities", "/identities/new", "/identities/hand@acme.test", "/identities/hand@acme.test/edit",
         "/identities/jane@acme.test", "/identities/jane@acme.test/edit")  # fmt: skip


async def logged_in(browser: Chromium, relay: LoginRelay) -> None:
    """Log in as an operator."""
    async with Person(relay.acting_url) as one:
        await one.first_login("olga@acme.test")
    await browser.go(f"{relay.acting_url}/login")
    await browser.ask("document.querySelector('[name=email]').focus()")
    await browser.type("olga@acme.test")
    await browser.ask("document.querySelector('[name=pw]').focus()")
    await browser.type(PASSWORD)
    await browser.press("Enter", loads=True)


@pytest.mark.slow
async def test_the_forms_of_identities_in_a_browser(tmp_path: Path) -> None:
    axe.script()
    async with (
        Chromium() as browser,
        Sink() as sink,
        LoginRelay(tmp_path, sink, SENDERS) as relay,
    ):
        await relay.run(
            *("identity", "add", "jane@acme.test", "--display-name", "<b>Jane</b>", "--forward-to", "o@x.test"),
            *("--company", "A company with a rather long name, and its seat abroad", "--reload"),
        )
        await logged_in(browser, relay)
        for path in PAGES:
            await browser.go(relay.acting_url + path)
            await looks_right(browser, path)
        await browser.ask("document.querySelector('[name=daily_limit]').value = '999'")
        await browser.ask("document.querySelector('[name=bcc]').value = 'nobody'")
        await browser.ask("document.querySelector('[name=bcc]').focus()")
        await relay.run(
            *("identity", "add", "jane@acme.test", "--force", "--company", "Another Ltd", "--reload"),
        )
        await browser.press("Enter", loads=True)
        assert await browser.ask("document.querySelector('[role=alert] .strong').textContent") == (
            "Nothing was saved: somebody changed it meanwhile."
        )
        await looks_right(browser, "stale")
        await browser.ask("document.querySelector('[name=bcc]').focus()")
        await browser.press("Enter", loads=True)
        assert "2 fields need a change" in str(await browser.ask("document.querySelector('[role=alert]').textContent"))
        await looks_right(browser, "faults")
        assert [one for one in browser.complaints if "status of 4" not in one] == []

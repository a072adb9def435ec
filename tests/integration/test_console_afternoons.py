"""Afternoons of a clerk and of an operator in a browser, by keyboard alone."""

import asyncio
import json
from pathlib import Path

from tests.integration.page_checks import CONTRAST
from tests.integration.test_console_actions import wait_states
from tests.servers.actions import Say
from tests.servers.chromium import Chromium
from tests.servers.login_console import CODE, PASSWORD, LoginRelay
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

FOCUS = "(document.activeElement.innerText || document.activeElement.name || '').replace(/\\s+/g, ' ').trim()"
"""What has the focus: the words of a button or link, the name of a field."""

MAX_STOPS = 120
"""Stops of the tab key on one page, at most."""


class Keyboard(Chromium):
    """A browser that is used by keys only."""

    async def to(self, what: str) -> None:
        """Press Tab until that button, link or field has the focus. Fails if no stop leads there."""
        seen = []
        for _ in range(MAX_STOPS):
            if (found := await self.ask(FOCUS)) == what:
                return
            seen.append(found)
            await self.press("Tab")
        raise AssertionError(f"no stop is {what!r}: {seen}")

    async def push(self, what: str) -> None:
        """Go to a button or link, and use it."""
        await self.to(what)
        await self.press("Enter", loads=True)

    async def fill(self, **fields: str) -> None:
        """Type into fields, by their names."""
        for name, text in fields.items():
            await self.to(name)
            await self.type(text)

    async def says(self, text: str) -> None:
        """Check that the page has the text, fits its width, has contrast, and that nothing was refused."""
        body = " ".join(str(await self.ask("document.querySelector('main').innerText")).split())
        assert text in body, body
        assert await self.ask("document.documentElement.scrollWidth <= innerWidth")
        assert await self.ask(CONTRAST) >= 4.5
        # The browser notes the status of a page that says what is wrong.
        assert [one for one in self.complaints if "responded with a status of 4" not in one] == []

    async def first_login(self, url: str, address: str) -> None:
        """Log in with the code, and choose a password."""
        await self.go(url)
        await self.fill(email=address, pw=CODE)
        await self.press("Enter", loads=True)
        await self.says("Choose a password")
        await self.fill(present=CODE, new=PASSWORD, again=PASSWORD)
        await self.press("Enter", loads=True)


async def test_a_clerk_finds_out_why_a_customer_has_no_invoice(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, Keyboard(width=390, height=800) as clerk:
        sink.once("RCPT", Say("452 4.2.2 Mailbox full"))
        await relay.send("ada@reader.test", "Invoice 1042")
        await clerk.first_login(relay.acting_url, "sam@acme.test")
        await clerk.fill(q="ada@reader.test")
        await clerk.press("Enter", loads=True)
        await clerk.says("Invoice 1042")
        await clerk.says("Mailbox full")
        await clerk.push("Retry now")
        await clerk.says("Try 1 waiting recipient now?")
        await clerk.push("Try 1 now")
        await clerk.says("1 recipient is due now.")
        await sink.received(1)
        await clerk.push("Go on")
        async with asyncio.timeout(PATIENCE):
            while "It was delivered." not in str(await clerk.ask("document.body.innerText")):
                await clerk.go(str(await clerk.ask("location.href")))
        await clerk.push("Suppress the address ada@reader.test")
        await clerk.says("Suppress ada@reader.test?")
        await clerk.push("Suppress 1 address")
        await clerk.says("1 address is suppressed.")
        await clerk.go(f"{relay.acting_url}/people")
        await clerk.says("Not for your role")
        (row,) = await relay.json("suppression", "list")
        assert row["address"] == "ada@reader.test"


async def test_an_operator_holds_a_site_looks_and_deletes(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, Keyboard(width=1280, dark=True) as operator:
        sink.always("RCPT", Say("452 4.2.2 Mailbox full"))
        for number in range(3):
            await relay.send(f"u{number}@rcpt.test", f"Invoice {number}")
        await operator.first_login(f"{relay.acting_url}/queue", "olga@acme.test")
        await operator.go(f"{relay.acting_url}/queue")
        await operator.push("Hold all of it")
        await operator.says("Hold 3 waiting recipients?")
        await operator.says("Noted in the audit as olga@acme.test.")
        await operator.push("Hold 3")
        await operator.says("3 recipients are held.")
        await wait_states(relay, "held", 3)
        await operator.push("Go on")
        await operator.push("Delete all of it")
        await operator.fill(n="2")
        await operator.press("Enter", loads=True)
        await operator.says("The number is 3.")
        await operator.fill(n="3")
        await operator.press("Enter", loads=True)
        await operator.says("3 recipients are deleted.")
        assert await relay.json("queue", "list") == []
        await operator.go(f"{relay.acting_url}/audit")
        await operator.says("queue.delete")
        await operator.push("Log out")
        await operator.says("Log in")
        assert json.loads(await operator.ask("JSON.stringify(document.cookie)")) == "", "no script reads the cookie"
        await operator.go(f"{relay.acting_url}/queue")
        assert str(await operator.ask("location.pathname")) == "/login"

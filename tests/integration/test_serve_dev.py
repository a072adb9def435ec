"""`relay serve --dev`: no configuration, any login, the mails in a browser, and nothing that leaves."""

import asyncio
import json
import os
import re
import signal
import smtplib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.ports import free_port
from tests.servers.waiting import PATIENCE, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Dev:
    smtp_port: int
    http_port: int
    folder: Path
    spied: Path

    async def send(self, to: str = "ada@example.com", campaign: str = "") -> str:
        """Send a mail with a login that nobody configured, and return its queue id."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "shop@anything.example", to, "Your order"
        if campaign:
            mail["X-Relay-Campaign"] = campaign
        mail.set_content("Hello")
        mail.add_alternative('<p>Hello <a href="https://shop.example/1">one</a></p>', subtype="html")
        return await asyncio.to_thread(self._send, mail)

    def _send(self, mail: EmailMessage) -> str:
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=20) as client:
            client.login("who", "ever")
            client.mail("shop@anything.example")
            client.rcpt(mail["To"])
            code, text = client.data(mail.as_bytes())
            assert code == 250, text
            return text.decode().rsplit(" ", 1)[1]

    async def get(self, path: str, **more: Any) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://127.0.0.1:{self.http_port}{path}", allow_redirects=False, **more) as answer,
        ):
            return answer.status, await answer.text()

    async def page(self, queue_id: str, *needed: str) -> str:
        """Return the page of a mail once it has these texts."""

        async def whole() -> str:
            _, text = await self.get(f"/mail/{queue_id}")
            return text if all(one in text for one in needed) else ""

        return str(await until(whole))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dev(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dev]:
    folder = tmp_path_factory.mktemp("dev")
    found = Dev(free_port(), free_port(), folder / "data", folder / "spied.jsonl")
    ports = ("--smtp-port", str(found.smtp_port), "--http-port", str(found.http_port))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.servers.spied_relay", "serve", "--dev", *ports, "--data-dir", str(found.folder)),
        env=os.environ | {"SPY_FILE": str(found.spied)},
        stdout=asyncio.subprocess.PIPE,
    )

    async def answers() -> bool:
        try:
            return (await found.get("/"))[0] == 200
        except aiohttp.ClientError:
            return False

    await until(answers)
    yield found
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert f"127.0.0.1:{found.smtp_port}" in output.decode()


async def test_a_mail_is_shown_as_sent_and_as_it_would_have_left(dev: Dev) -> None:
    queue_id = await dev.send()
    page = await dev.page(queue_id, "250 2.0.0 Sandbox")
    assert "Tracked" in page
    assert "https://shop.example/1" in page
    assert "pass: anything.example, selector dev: the signature holds." in page
    assert "There is no List-Unsubscribe field" in page
    _, left = await dev.get(f"/mail/{queue_id}/body?of=copy")
    _, sent = await dev.get(f"/mail/{queue_id}/body?of=original")
    assert f"http://127.0.0.1:{dev.http_port}/c/" in left
    assert 'href="https://shop.example/1"' in sent
    _, mails = await dev.get("/")
    assert f"/mail/{queue_id}" in mails


async def test_a_campaign_shows_its_unsubscribe_link(dev: Dev) -> None:
    queue_id = await dev.send(campaign="autumn")
    page = await dev.page(queue_id, "A DKIM signature covers list-unsubscribe.")
    assert "One click (RFC 8058) needs an https address" in page
    assert f"http://127.0.0.1:{dev.http_port}/u/" in page


async def test_a_click_on_a_link_of_a_mail_is_recorded(dev: Dev) -> None:
    queue_id = await dev.send()
    await dev.page(queue_id, "250 2.0.0 Sandbox")
    _, left = await dev.get(f"/mail/{queue_id}/body?of=copy")
    link = re.search(r"http://127\.0\.0\.1:\d+(/c/[\w-]+)", left)
    assert link is not None
    # A reader's request comes from a page of another site.
    status, _ = await dev.get(
        link[1], headers={"User-Agent": "Mozilla/5.0 Firefox/140.0", "Sec-Fetch-Site": "cross-site"}
    )
    assert status == 302
    await dev.page(queue_id, "Clicked")


async def test_a_button_sends_the_mail_to_a_word(dev: Dev) -> None:
    queue_id = await dev.send()
    await dev.page(queue_id, "250 2.0.0 Sandbox", 'value="hard"')
    url = f"http://127.0.0.1:{dev.http_port}/mail/{queue_id}/word"
    async with aiohttp.ClientSession() as client:
        async with client.post(url, data={"word": "hard"}, allow_redirects=False) as answer:
            assert answer.status == 303
            place = answer.headers["Location"]
        async with client.post(url, data={"word": "nothing"}) as answer:
            assert (answer.status, "is no word of the simulator" in await answer.text()) == (400, True)
        async with client.post(url, data={"word": "hard"}, headers={"Origin": "http://evil.test"}) as answer:
            assert answer.status == 403
    await dev.page(place.removeprefix("/mail/"), "550 5.1.1", "hard@simulator.relay.invalid")


async def test_a_page_of_another_name_is_not_answered(dev: Dev) -> None:
    assert (await dev.get("/", headers={"Host": "evil.test"}))[0] == 421
    assert (await dev.get("/mail/0000000000000A"))[0] == 404


async def test_the_commands_work_with_its_file(dev: Dev) -> None:
    queue_id = await dev.send()
    await dev.page(queue_id, "250 2.0.0 Sandbox")
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay.cli", "trace", queue_id, "--json"),
        env=os.environ | {"RELAY_CONFIG": str(dev.folder / "relay.toml")},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await ran.communicate()
    assert json.loads(output)["recipients"][0]["status"] == "delivered"


async def test_nothing_left_but_to_the_tracker_behind_the_pages(dev: Dev) -> None:
    await dev.page(await dev.send("stranger@example.org"), "250 2.0.0 Sandbox")
    lines = [json.loads(line) for line in dev.spied.read_text(encoding="utf-8").splitlines()]
    hosts = {address[0] for _, address in lines if isinstance(address, list)}
    assert hosts <= {"127.0.0.1"}

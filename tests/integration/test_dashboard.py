"""The dashboard of a running relay: what it shows, to whom, and that nothing a stranger wrote acts in it."""

import asyncio
import re
import smtplib
from base64 import b64encode
from pathlib import Path

import aiohttp
import pytest

from tests.integration.page_checks import CONTRAST
from tests.ports import free_port
from tests.servers.actions import Say
from tests.servers.chromium import Chromium
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

SECRET = "correct horse battery"

EVIL = "<script>document.title='owned'</script>\"'&"


class Relay(RelayProcess):
    """A relay with a dashboard, protected by a secret or open to this machine."""

    def __init__(self, folder: Path, sink: Sink, secret: str = "") -> None:
        self.board = free_port()
        more = f'[admin]\naddress = "127.0.0.1:{self.board}"\nsecret = "{secret}"\n'
        super().__init__(folder, sink.port, more)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.board}"

    async def send(self, to: str, subject: str = "hello", message_id: str = "<1@acme.test>") -> str:
        """Send a mail, wait until it was tried, and return its queue id."""
        mail = f"From: news@acme.test\r\nSubject: {subject}\r\nMessage-ID: {message_id}\r\n\r\nHello\r\n".encode()
        queue_id = await asyncio.to_thread(self._transaction, to, mail)
        async with asyncio.timeout(PATIENCE):
            while not (await self.json("trace", queue_id))[0]["recipients"][0]["attempts"]:
                await asyncio.sleep(0.05)
        return queue_id

    def _transaction(self, to: str, mail: bytes) -> str:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.ehlo()
            client.mail("news@acme.test")
            client.rcpt(to)
            code, text = client.data(mail)
            assert code == 250, text
            return text.decode().rsplit(" ", 1)[1]


async def test_it_shows_depth_messages_bounces_and_timelines(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink) as relay, aiohttp.ClientSession(relay.url) as client:
        good = await relay.send("good@rcpt.test", "Your invoice")
        sink.once("RCPT", Say("550 5.1.1 No such user here"))
        bad = await relay.send("bad@rcpt.test", EVIL, "<2@acme.test>")
        async with client.get("/") as answer:
            page = await answer.text()
        assert answer.status == 200
        assert re.search(r"<dt>Delivered</dt><dd>[12]<", page)
        assert re.search(r"<dt>Bounced</dt><dd>1<", page)
        assert "Your invoice" in page
        assert "No such address" in page
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        for query in (good, good.lower(), "<1@acme.test>", "GOOD@rcpt.test"):
            async with client.get("/", params={"q": query}) as answer:
                assert answer.url.path == f"/message/{good}"
                assert "250 2.0.0" in await answer.text()
        async with client.get(f"/message/{bad}") as answer:
            story = await answer.text()
        assert "550 5.1.1 No such user here" in story
        assert "<script" not in story
        await relay.send("good@rcpt.test", message_id="<3@acme.test>")
        async with client.get("/", params={"q": "good@rcpt.test"}) as answer:
            assert "2 found" in await answer.text()
        async with client.get("/", params={"q": f"{EVIL}@x.test"}) as answer:
            found = await answer.text()
            assert "No message found. Search for a queue id" in found
            assert "<script" not in found


async def test_other_hosts_have_no_access_and_nothing_can_be_changed(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink) as relay, aiohttp.ClientSession(relay.url) as client:
        queue_id = await relay.send("u@rcpt.test")
        for path in ("/", f"/message/{queue_id}", "/?q=u@rcpt.test", "/none"):
            async with client.get(path, headers={"Host": f"evil.test:{relay.board}"}) as answer:
                assert answer.status == 421
                assert queue_id not in await answer.text()
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with client.request(method, "/") as answer:
                assert answer.status == 405
        for path in ("/queue", "/status", "/reload", "/message/none", f"/message/{'0' * 14}"):
            async with client.get(path) as answer:
                assert answer.status == 404
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["Cache-Control"] == "no-store"


async def test_without_a_secret_nothing_forwarded_or_foreign_is_answered(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink) as relay, aiohttp.ClientSession(relay.url) as client:
        for headers in (
            *({"Forwarded": "for=203.0.113.9"}, {"X-Forwarded-For": "203.0.113.9"}, {"Via": "1.1 proxy"}),
            *({"X-Real-IP": "203.0.113.9"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.test"}),
        ):
            async with client.get("/", headers=headers) as answer:
                assert answer.status == 403, headers
        async with client.get("/", headers={"Sec-Fetch-Site": "none"}) as answer:
            assert answer.status == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.board)
        for request in (b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n",):
            writer.write(request)
            assert (await reader.readline()).split()[1] == b"403"
        writer.close()


def basic(credentials: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"}


async def test_access_with_a_secret(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink, SECRET) as relay, aiohttp.ClientSession(relay.url) as client:
        for credentials in ({}, basic("admin:wrong"), basic("admin:"), basic(SECRET)):
            async with client.get("/", headers=credentials) as answer:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Basic ")
                assert "Recent messages" not in await answer.text()
        right = basic(f"anybody:{SECRET}") | {"Host": "relay.acme.test", "X-Forwarded-For": "203.0.113.9"}
        async with client.get("/", headers=right) as answer:
            assert answer.status == 200
        assert SECRET not in await relay.run("config", "show")


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
async def test_it_is_readable_in_a_browser_and_loads_nothing_else(tmp_path: Path, width: int, dark: bool) -> None:
    async with Chromium(width=width, dark=dark) as browser, Sink() as sink, Relay(tmp_path, sink) as relay:
        sink.once("RCPT", Say("550 5.1.1 No such user here"))
        bad = await relay.send("bad@rcpt.test", EVIL)
        for url in ("/", f"/message/{bad}", "/?q=nobody@x.test"):
            await browser.go(relay.url + url)
            assert (
                await browser.ask(CONTRAST.replace("h1, p, button", "h1, h2, p, th, td, dt, dd, a, button, .badge"))
                >= 4.5
            )
            assert await browser.ask("document.documentElement.scrollWidth <= innerWidth")
            assert await browser.ask("performance.getEntriesByType('resource').length") == 0
            assert await browser.ask("document.title") != "owned"
        assert browser.complaints == []

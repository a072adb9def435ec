"""The console of a running relay: what it shows, to whom, and that nothing a stranger wrote acts in it."""

import asyncio
import csv
from base64 import b64encode
from io import StringIO
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.integration.page_checks import CONTRAST
from tests.servers.actions import Say
from tests.servers.chromium import Chromium
from tests.servers.console_harness import ConsoleRelay
from tests.servers.sink import Sink

SECRET = "correct horse battery"

FOREIGN = """
    performance.getEntriesByType('resource').map(one => new URL(one.name)).filter(one => one.host !== location.host)
"""
"""What a page loaded from other hosts."""

EVIL = "<script>document.title='owned'</script>\"'&"


async def test_it_shows_figures_messages_and_their_ways(tmp_path: Path) -> None:
    async with Sink() as sink, ConsoleRelay(tmp_path, sink) as relay, aiohttp.ClientSession(relay.url) as client:
        good = await relay.send("good@rcpt.test", "Your invoice")
        sink.once("RCPT", Say("550 5.1.1 No such user here"))
        bad = await relay.send("bad@rcpt.test", EVIL, "<2@acme.test>")
        await relay.shows("/", r"<span>Delivered</span><b>[12]</b>")
        page = await relay.shows("/", r"<span>Bounced</span><b>1</b>")
        assert "<script>" not in page
        page = await relay.shows("/messages", "No such address · 550 5.1.1")
        assert "Your invoice" in page
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        for query in (good, good.lower(), "<1@acme.test>", "GOOD@rcpt.test"):
            for path in ("/", "/messages"):
                async with client.get(path, params={"q": query}) as answer:
                    assert answer.url.path == f"/messages/{good}"
                    assert "250 2.0.0" in await answer.text()
        async with client.get(f"/message/{bad}") as answer:
            story = await answer.text()
        assert answer.url.path == f"/messages/{bad}"
        assert "550 5.1.1 No such user here" in story
        assert "<script>" not in story
        async with client.get("/?q=a%23b%2526c", allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/messages?q=a%23b%2526c"
        await relay.send("good@rcpt.test", message_id="<3@acme.test>")
        page = await relay.shows("/messages?q=good@rcpt.test", "Found for good@rcpt.test")
        assert page.count('<td class="first">') == 2
        async with client.get("/messages", params={"q": f"{EVIL}@x.test"}) as answer:
            found = await answer.text()
            assert "No message found for" in found
            assert "<script>" not in found


PAGES = (
    *("/", "/messages", "/queue", "/queue?state=waiting", "/queue?q=u@rcpt.test", "/bounces", "/bounces?span=day"),
    *("/bounces?reply=550+5.1.1+No+such+user", "/domains", "/domains/acme.test", "/identities"),
    *("/identities/news@acme.test", "/providers", "/suppressions", "/suppressions?q=none@x.test", "/unsubscribes"),
    "/webhooks",
)

FILES = ("queue", "bounces", "domains", "identities", "providers", "suppressions", "unsubscribes", "webhooks")

SENDERS = """
[domains."acme.test"]
[identities."news@acme.test"]
display_name = "Acme News"
[[webhook]]
name = "crm"
url = "http://127.0.0.1:9/hook"
allow_networks = ["127.0.0.1/32"]
"""


async def test_every_page_and_every_list_as_a_file(tmp_path: Path) -> None:
    async with (
        Sink() as sink,
        ConsoleRelay(tmp_path, sink, more=SENDERS) as relay,
        aiohttp.ClientSession(relay.url) as client,
    ):
        sink.once("RCPT", Say("550 5.1.1 No such user here"))
        await relay.send("bad@rcpt.test", "=HYPERLINK(1)")
        sink.always("RCPT", Say("452 4.2.2 Mailbox full"))
        waits = await relay.send("u@rcpt.test", "Your invoice", "<2@acme.test>")
        for path in PAGES:
            async with client.get(path) as answer:
                assert answer.status == 200, await answer.text()
                assert "<h1" in await answer.text()
        files = {}
        for name in FILES:
            async with client.get(f"/{name}.csv") as answer:
                assert answer.status == 200
                assert answer.content_type == "text/csv"
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Server"] == "relay"
                files[name] = list(csv.DictReader(StringIO(await answer.text())))
        assert files["suppressions"][0]["address"] == "bad@rcpt.test"
        assert files["bounces"][0]["subject"] == "'=HYPERLINK(1)"
        assert files["domains"][0]["domain"] == "acme.test"
        assert files["queue"][0]["site"] == "sink"
        assert {one["name"] for one in files["providers"]} == {"direct", "sink"}
        async with client.get("/queue.csv?q=u@rcpt.test") as answer:
            assert [one["queue_id"] for one in csv.DictReader(StringIO(await answer.text()))] == [waits]
        async with client.get("/queue?state=gone") as answer:
            assert answer.status == 400
            assert "not one of waiting, held and active" in await answer.text()
        for path in ("/domains/none.test", "/identities/none@x.test", "/nothing"):
            async with client.get(path) as answer:
                assert answer.status == 404
                assert "<h1" in await answer.text()


async def test_counts_outlast_a_restart(tmp_path: Path) -> None:
    async with Sink() as sink, ConsoleRelay(tmp_path, sink) as relay:
        await relay.send("good@rcpt.test")
        await relay.stop()
        await relay.start()
        await relay.shows("/", r"<span>Delivered</span><b>1</b>")


async def test_the_preview_of_a_mail_runs_and_loads_nothing(tmp_path: Path) -> None:
    requested: list[str] = []

    async def note(request: web.Request) -> web.Response:
        requested.append(request.path)
        return web.Response(text="here")

    elsewhere = web.Application()
    elsewhere.router.add_route("*", "/{path:.*}", note)
    async with (
        TestServer(elsewhere) as server,
        Sink() as sink,
        ConsoleRelay(tmp_path, sink) as relay,
        Chromium() as browser,
        aiohttp.ClientSession(relay.url) as client,
    ):
        sink.always("RCPT", Say("452 4.2.2 Mailbox full"))
        body = (
            f"<h1>Invoice</h1><script>fetch('{server.make_url('/script')}');parent.document.title='owned'</script>"
            f"<img src='{server.make_url('/image')}'><link rel='stylesheet' href='{server.make_url('/style')}'>"
            f"<iframe src='{server.make_url('/frame')}'></iframe>\r\n"
        )
        queue_id = await relay.send("u@rcpt.test", fields={"Content-Type": "text/html"}, body=body)
        # The load event of a page comes after those of its frames.
        await browser.go(f"{relay.url}/messages/{queue_id}")
        assert await browser.ask("document.querySelector('iframe').sandbox.length") == 0
        assert await browser.ask("document.title") == "hello · relay"
        await browser.go(f"{relay.url}/messages/{queue_id}/preview")
        assert requested == []
        # The browser reaches the other server, when it is not a mail that names it.
        await browser.go(str(server.make_url("/control")))
        assert requested[0] == "/control"
        async with client.get(f"/messages/{queue_id}/preview") as answer:
            assert "<h1>Invoice</h1>" in await answer.text()
            assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


async def test_other_hosts_have_no_access_and_nothing_can_be_changed(tmp_path: Path) -> None:
    async with Sink() as sink, ConsoleRelay(tmp_path, sink) as relay, aiohttp.ClientSession(relay.url) as client:
        queue_id = await relay.send("u@rcpt.test")
        for path in ("/", f"/message/{queue_id}", "/?q=u@rcpt.test", "/none"):
            async with client.get(path, headers={"Host": f"evil.test:{relay.board}"}) as answer:
                assert answer.status == 421
                assert queue_id not in await answer.text()
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with client.request(method, "/") as answer:
                assert answer.status == 405
        for path in ("/status", "/reload", "/message/none", f"/message/{'0' * 14}"):
            async with client.get(path) as answer:
                assert answer.status == 404
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["Cache-Control"] == "no-store"


async def test_without_a_secret_nothing_forwarded_or_foreign_is_answered(tmp_path: Path) -> None:
    async with Sink() as sink, ConsoleRelay(tmp_path, sink) as relay, aiohttp.ClientSession(relay.url) as client:
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
    async with (
        Sink() as sink,
        ConsoleRelay(tmp_path, sink, SECRET) as relay,
        aiohttp.ClientSession(relay.url) as client,
    ):
        for credentials in ({}, basic("admin:wrong"), basic("admin:"), basic(SECRET)):
            async with client.get("/", headers=credentials) as answer:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Basic ")
                assert "Key figures" not in await answer.text()
        right = basic(f"anybody:{SECRET}") | {"Host": "relay.acme.test", "X-Forwarded-For": "203.0.113.9"}
        async with client.get("/", headers=right) as answer:
            assert answer.status == 200
        assert SECRET not in await relay.run("config", "show")


@pytest.mark.parametrize(("width", "dark"), [(390, False), (768, True), (1280, True), (1280, False)])
async def test_it_is_readable_in_a_browser_and_loads_nothing_else(tmp_path: Path, width: int, dark: bool) -> None:
    async with Chromium(width=width, dark=dark) as browser, Sink() as sink, ConsoleRelay(tmp_path, sink) as relay:
        sink.once("RCPT", Say("550 5.1.1 No such user here"))
        bad = await relay.send("bad@rcpt.test", EVIL)
        for url in ("/", "/messages", f"/messages/{bad}", "/messages?q=nobody@x.test", "/none"):
            await browser.go(relay.url + url)
            assert await browser.ask(CONTRAST) >= 4.5
            assert await browser.ask("document.documentElement.scrollWidth <= innerWidth")
            assert await browser.ask(FOREIGN) == []
            assert await browser.ask("document.title") != "owned"
        assert [one for one in browser.complaints if "404" not in one] == []

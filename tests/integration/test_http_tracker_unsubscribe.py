"""Unsubscribes over the tracker: the page, the button, one click; none is confirmed that is not on disk."""

from base64 import b64encode
from contextlib import suppress
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest

from relay.events.event import Event
from relay.events.event import Kind as EventKind
from relay.events.event_line import decode_event
from relay.events.spool import Spool
from relay.rewrite.tokens import Kind
from relay.tracker.reader_events import KEPT
from tests.servers.tracker_harness import LEAVE, ONE_CLICK, OPEN, QUEUE_ID, Serve, path, serve

__all__ = ["serve"]


def spooled(folder: Path) -> list[Event]:
    """Return what lies in the spool, also when its file gets its last name meanwhile."""
    for file in folder.iterdir():
        for name in (file, file.with_name(file.name.removesuffix(".open"))):
            with suppress(FileNotFoundError):
                return list(map(decode_event, name.read_bytes().splitlines()))
    return []


async def test_get_shows_a_page_and_does_not_unsubscribe(serve: Serve) -> None:
    served = await serve()
    page = await served.ask(LEAVE)
    assert page.status == 200
    assert (await served.ask(LEAVE, "HEAD")).status == 200
    assert page.header("Content-Type") == "text/html; charset=utf-8"
    assert b'<form method="post">' in page.body
    await served.ask(OPEN)
    assert [event.kind for event in await served.events(1)] == [EventKind.OPEN]


async def test_the_page_loads_nothing_and_its_style_is_the_one_allowed(serve: Serve) -> None:
    page = await (await serve()).ask(LEAVE)
    policy = page.header("Content-Security-Policy") or ""
    style = page.body.partition(b"<style>")[2].partition(b"</style>")[0]
    assert f"style-src 'sha256-{b64encode(sha256(style).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none';")
    assert b"<script" not in page.body
    assert b"://" not in page.body
    assert QUEUE_ID.encode() not in page.body


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", ONE_CLICK),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
        ),
    ],
)
async def test_one_click_unsubscribes(serve: Serve, content_type: str, body: bytes) -> None:
    served = await serve()
    answer = await served.ask(LEAVE, "POST", body, Content_Type=content_type)
    assert (answer.status, answer.body) == (200, b"Unsubscribed.\n")
    (event,) = await served.events(1)
    assert (event.kind, event.number, event.data["by"]) == (EventKind.UNSUBSCRIBE, 3, "one-click")


class Form(HTMLParser):
    """What the page's form sends."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.method = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.method = values["method"]
            assert "action" not in values
        elif tag == "input":
            self.fields[values["name"]] = values["value"]


async def test_the_button_of_the_page_unsubscribes(serve: Serve) -> None:
    served = await serve()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{served.tracker.port}") as browser:
        async with browser.get(LEAVE) as page:
            form = Form()
            form.feed(await page.text())
        assert form.fields["List-Unsubscribe"] == "One-Click"
        async with browser.request(form.method, LEAVE, data=form.fields, headers={"Accept": "text/html"}) as done:
            assert (done.status, done.content_type) == (200, "text/html")
            assert "You are unsubscribed" in await done.text()
    (event,) = await served.events(1)
    assert (event.kind, event.data["by"]) == (EventKind.UNSUBSCRIBE, "page")


async def test_an_unsubscribe_is_on_disk_before_it_is_answered_though_the_store_is_down(serve: Serve) -> None:
    served = await serve()
    served.store.down = True
    assert (await served.ask(LEAVE, "POST", ONE_CLICK)).status == 200
    assert [event.kind for event in spooled(served.spool)] == [EventKind.UNSUBSCRIBE]
    served.store.down = False
    assert [event.kind for event in await served.events(1)] == [EventKind.UNSUBSCRIBE]


async def test_an_unsubscribe_that_cannot_be_saved_is_not_confirmed(serve: Serve, tmp_path: Path) -> None:
    served = await serve(spool=Spool(tmp_path, total_bytes=0))
    assert (await served.ask(LEAVE, "POST", ONE_CLICK)).status == 503
    page = await served.ask(LEAVE, "POST", ONE_CLICK, Accept="text/html")
    assert (page.status, b"Please try again" in page.body) == (503, True)


async def test_an_unsubscribe_is_written_a_few_times_and_always_confirmed(serve: Serve) -> None:
    served = await serve()
    for _ in range(KEPT + 10):
        assert (await served.ask(LEAVE, "POST", ONE_CLICK)).status == 200
    assert (await served.ask(path(Kind.UNSUBSCRIBE, recipient=4), "POST", ONE_CLICK)).status == 200
    await served.events(KEPT + 1)
    await served.tracker.stop()
    await served.sink.close()
    assert [event.number for event in served.store.events] == [3] * KEPT + [4]


async def test_an_unsubscribe_that_was_not_saved_does_not_count(serve: Serve, tmp_path: Path) -> None:
    served = await serve(spool=Spool(tmp_path / "spool", total_bytes=10))
    for _ in range(KEPT + 2):
        assert (await served.ask(LEAVE, "POST", ONE_CLICK)).status == 503

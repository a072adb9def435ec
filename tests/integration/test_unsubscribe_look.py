"""The page that unsubscribes does without the store, when that is slow, broken or elsewhere."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from relay import http_tracker
from relay.config.senders import UnsubscribeScope
from relay.events.ports import StoreError
from relay.events.sink import EventSink
from relay.events.spool import Spool
from relay.http_tracker import Tracker
from relay.listening_sockets import listen
from relay.mail.queue_id import queue_id
from relay.rewrite.tokens import Keyring, Kind, Token, sign_token
from relay.suppression.unsubscribes import Subscription
from relay.tracker import pages
from relay.tracker.ports import FindSubscription

RING = Keyring((("k1", b"k" * 32),))

QUEUE_ID = queue_id(1_700_000_000.0, 1)

PAGE = f"/u/{sign_token(RING, Token(Kind.UNSUBSCRIBE, QUEUE_ID, 3))}"


async def title(folder: Path, find: FindSubscription | None, method: str = "GET", expected: int = 200) -> str:
    sink = EventSink(None, Spool(folder), lambda events: None)
    await sink.start()
    tracker = Tracker(lambda: RING, sink, subscription=find)
    await tracker.start(await listen(("127.0.0.1",), 0))
    try:
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{tracker.port}") as client,
            client.request(method, PAGE, headers={"Accept": "text/html"}) as answer,
        ):
            assert answer.status == expected
            return (await answer.text()).partition("<title>")[2].partition("</title>")[0]
    finally:
        await tracker.stop()
        await sink.close()


async def test_the_page_shows_that_the_reader_has_unsubscribed(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    async def find(message: str, number: int) -> Subscription:
        asked.append((message, number))
        return Subscription(has_left=True)

    assert await title(tmp_path, find) == "You are already unsubscribed"
    assert asked == [(QUEUE_ID, 3)]


@pytest.mark.parametrize(
    ("reach", "mail"),
    [("campaign", "these emails"), ("domain", "newsletters of this sender"), ("global", "our newsletters")],
)
async def test_the_pages_name_what_the_unsubscribe_ends(tmp_path: Path, reach: UnsubscribeScope, mail: str) -> None:
    async def find(message: str, number: int) -> Subscription:
        return Subscription(reach=reach)

    assert await title(tmp_path, find) == f"Unsubscribe from {mail}?"
    assert f"We will send you no more of {mail}." in pages.DONE[reach]
    assert f"{mail[1:]} are not sent to you any more." in pages.ALREADY[reach]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_message_that_is_no_longer_stored_gets_410(tmp_path: Path, method: str) -> None:
    async def find(message: str, number: int) -> None:
        return None

    assert await title(tmp_path, find, method, 410) == "This link is too old"


async def test_without_an_answer_the_page_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_tracker, "LOOKUP_TIMEOUT", 0.01)

    async def broken(message: str, number: int) -> Subscription:
        raise StoreError("disk I/O error")

    async def slow(message: str, number: int) -> Subscription:
        await asyncio.sleep(60)
        return Subscription()

    for find in (None, broken, slow):
        assert await title(tmp_path, find) == "Unsubscribe from these emails?"
        assert await title(tmp_path, find, "POST") == "You are unsubscribed"

"""The page that unsubscribes does without the store, when that is slow, broken or elsewhere."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from relay import http_tracker
from relay.events.ports import StoreError
from relay.events.sink import EventSink
from relay.events.spool import Spool
from relay.http_tracker import IsUnsubscribed, Tracker
from relay.mail.queue_id import queue_id
from relay.rewrite.tokens import Keyring, Kind, Token, sign_token

RING = Keyring((("k1", b"k" * 32),))


QUEUE_ID = queue_id(1_700_000_000.0, 1)


PAGE = f"/u/{sign_token(RING, Token(Kind.UNSUBSCRIBE, QUEUE_ID, 3))}"


async def title(folder: Path, is_unsubscribed: IsUnsubscribed | None, method: str = "GET", expected: int = 200) -> str:
    sink = EventSink(None, Spool(folder), lambda events: None)
    await sink.start()
    tracker = Tracker(lambda: RING, sink, is_unsubscribed=is_unsubscribed)
    await tracker.start("127.0.0.1", 0)
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

    async def is_unsubscribed(message: str, number: int) -> bool:
        asked.append((message, number))
        return True

    assert await title(tmp_path, is_unsubscribed) == "You are already unsubscribed"
    assert asked == [(QUEUE_ID, 3)]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_message_that_is_no_longer_stored_gets_410(tmp_path: Path, method: str) -> None:
    async def is_unsubscribed(message: str, number: int) -> None:
        return None

    assert await title(tmp_path, is_unsubscribed, method, 410) == "This link is too old"


async def test_without_an_answer_the_page_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_tracker, "LOOKUP_TIMEOUT", 0.01)

    async def broken(message: str, number: int) -> bool:
        raise StoreError("disk I/O error")

    async def slow(message: str, number: int) -> bool:
        await asyncio.sleep(60)
        return True

    for is_unsubscribed in (None, broken, slow):
        assert await title(tmp_path, is_unsubscribed) == "Unsubscribe from these emails?"
        assert await title(tmp_path, is_unsubscribed, "POST") == "You are unsubscribed"

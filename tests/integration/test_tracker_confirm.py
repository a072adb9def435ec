"""The page that confirms an address: looking at it confirms nothing, its button does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from relay.events.ports import StoreError
from relay.events.sink import EventSink
from relay.events.spool import Spool
from relay.http_tracker import Confirm, Tracker
from relay.rewrite.tokens import Keyring, Kind, Token, sign_token
from relay.tracker import pages

KEYS = Keyring((("k1", b"k" * 32),))


QUEUE_ID = "0ABCDFGHJKLMNP"


TOKEN = sign_token(KEYS, Token(Kind.VERIFY, QUEUE_ID, 0))


Ask = Callable[[str, str], Awaitable[tuple[int, str]]]


@asynccontextmanager
async def serving(tmp_path: Path, confirm: Confirm | None) -> AsyncIterator[Ask]:
    """Run a tracker; ask it with a method and a path."""
    tracker = Tracker(lambda: KEYS, EventSink(None, Spool(tmp_path / "spool"), lambda events: None), confirm=confirm)
    await tracker.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{tracker.port}") as session:

            async def ask(method: str, path: str) -> tuple[int, str]:
                async with session.request(method, path, data=b"x" if method == "POST" else None) as answer:
                    return answer.status, await answer.text()

            yield ask
    finally:
        await tracker.stop()


async def test_only_the_button_confirms(tmp_path: Path) -> None:
    confirmed: list[str] = []

    async def confirm(queue_id: str) -> bool:
        confirmed.append(queue_id)
        return True

    async with serving(tmp_path, confirm) as ask:
        assert await ask("GET", f"/v/{TOKEN}") == (200, pages.CONFIRM)
        assert await ask("GET", f"/v/{TOKEN}?utm=1") == (200, pages.CONFIRM)
        assert (await ask("HEAD", f"/v/{TOKEN}"))[0] == 200
        assert confirmed == []
        assert await ask("POST", f"/v/{TOKEN}") == (200, pages.CONFIRMED)
        assert confirmed == [QUEUE_ID]
        assert (await ask("PUT", f"/v/{TOKEN}"))[0] == 405
    assert '<form method="post">' in pages.CONFIRM


async def test_tokens_of_other_kinds_confirm_nothing(tmp_path: Path) -> None:
    async def confirm(queue_id: str) -> bool:
        raise AssertionError(queue_id)

    foreign = sign_token(Keyring((("k1", b"l" * 32),)), Token(Kind.VERIFY, QUEUE_ID, 0))
    other = sign_token(KEYS, Token(Kind.UNSUBSCRIBE, QUEUE_ID, 0))
    async with serving(tmp_path, confirm) as ask:
        for token in (foreign, other, TOKEN[:-1], ""):
            for method in ("GET", "POST"):
                assert await ask(method, f"/v/{token}") == (404, pages.INVALID)


async def test_the_pages_of_an_old_link_and_a_failing_store(tmp_path: Path) -> None:
    async def late(queue_id: str) -> bool:
        return False

    async def away(queue_id: str) -> bool:
        raise StoreError("database is locked")

    async with serving(tmp_path, late) as ask:
        assert await ask("POST", f"/v/{TOKEN}") == (410, pages.CONFIRM_TOO_LATE)
    async with serving(tmp_path, away) as ask:
        assert await ask("POST", f"/v/{TOKEN}") == (503, pages.FAILED)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_standalone_tracker_asks_for_the_code(tmp_path: Path, method: str) -> None:
    async with serving(tmp_path, None) as ask:
        assert await ask(method, f"/v/{TOKEN}") == (200, pages.CONFIRM_ELSEWHERE)

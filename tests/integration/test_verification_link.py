"""The link of a mail that verifies an address: only its button confirms, and only while it counts."""

import re
from pathlib import Path

import aiohttp
import pytest

from relay.events.ports import StoreError
from relay.events.sink import EventSink
from relay.events.spool import Spool
from relay.http_tracker import Tracker
from relay.listening_sockets import listen
from relay.rewrite.tokens import Keyring, Kind, Token, sign_token
from relay.tracker import pages, verification_pages
from relay.verification.challenge import LINK_LIFETIME
from tests.servers.verification_harness import RING
from tests.servers.verification_site import JANE, Site, site

__all__ = ["site"]


class TestLink:
    async def test_only_the_button_confirms_and_both_pages_name_the_address(self, site: Site) -> None:
        await site.harness.verifier.prove(JANE)
        path = site.link()
        for asked in (await site.ask("GET", path), await site.ask("GET", f"{path}?utm=1")):
            assert (asked.status, asked.title) == (200, "Confirm your address")
            assert f"mail may be sent as <strong>{JANE}</strong>?" in asked.text
            assert '<form method="post">' in asked.text
        assert (await site.ask("HEAD", path)).status == 200
        assert not site.harness.proven(JANE)
        done = await site.ask("POST", path)
        assert (done.status, done.title) == (200, "Your address is verified")
        assert re.search(f"{JANE}</strong><br>verified, <time [^>]*>2027-01-15 08:00:00 UTC</time>", done.text)
        assert site.harness.proven(JANE)
        site.now += 2 * LINK_LIFETIME
        assert await site.ask("GET", path) == await site.ask("POST", path) == done
        assert (await site.ask("PUT", path)).status == 405

    async def test_a_code_of_the_readers_confirms_that_answers_arrive(self, site: Site) -> None:
        await site.harness.verifier.run(JANE, "receiving")
        asked = await site.ask("GET", site.link())
        assert f"answers to <strong>{JANE}</strong> are read here, at <strong>owner@x.test</strong>?" in asked.text
        done = await site.ask("POST", site.link())
        assert (done.title, "does not verify the address" in done.text) == ("Answers arrive", True)
        assert not site.harness.proven(JANE)

    async def test_tokens_of_other_kinds_confirm_nothing(self, site: Site) -> None:
        await site.harness.verifier.prove(JANE)
        (queue_id,) = site.harness.sent
        foreign = sign_token(Keyring((("k1", b"l" * 32),)), Token(Kind.VERIFY, queue_id, 0))
        other = sign_token(RING, Token(Kind.UNSUBSCRIBE, queue_id, 0))
        for token in (foreign, other, site.link()[3:-1], ""):
            for method in ("GET", "POST"):
                answer = await site.ask(method, f"/v/{token}")
                assert (answer.status, answer.text) == (404, pages.INVALID)

    async def test_an_old_link_leads_to_the_page(self, site: Site) -> None:
        await site.harness.verifier.prove(JANE)
        site.now += LINK_LIFETIME + 1
        for method in ("GET", "POST"):
            answer = await site.ask(method, site.link())
            assert (answer.status, 'href="../verify"' in answer.text) == (410, True)

    async def test_a_store_that_is_away_confirms_nothing(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        await site.harness.verifier.prove(JANE)

        async def away(*_: object) -> None:
            raise StoreError("database is locked")

        for name in ("challenge_by", "decide", "decide_within", "spend"):
            monkeypatch.setattr(site.harness.table, name, away)
        for method in ("GET", "POST"):
            answer = await site.ask(method, site.link())
            assert (answer.status, answer.text) == (503, verification_pages.TRY_LATER)
        for answer in (await site.post(JANE), await site.post(JANE, code="000001")):
            assert (answer.status, answer.text) == (503, verification_pages.TRY_LATER)


async def test_a_standalone_tracker_asks_for_the_code(tmp_path: Path) -> None:
    tracker = Tracker(lambda: RING, EventSink(None, Spool(tmp_path / "spool"), lambda events: None))
    await tracker.start(await listen(("127.0.0.1",), 0))
    path = f"/v/{sign_token(RING, Token(Kind.VERIFY, '0ABCDFGHJKLMNP', 0))}"
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{tracker.port}") as session:
            for method in ("GET", "POST"):
                for where in (path, "/verify"):
                    async with session.request(method, where) as answer:
                        assert (answer.status, await answer.text()) == (200, verification_pages.ELSEWHERE)
    finally:
        await tracker.stop()

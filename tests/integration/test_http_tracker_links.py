"""Pixels and links of the tracker, over real sockets: what is answered, and which events are recorded."""

import asyncio
import re

import aiohttp
import pytest
from yarl import URL

from relay.events.event import Kind as EventKind
from relay.rewrite.tokens import Keyring, Kind, new_key, parse_keyring
from relay.tracker.canary import canary
from relay.tracker.link_blocks import Block, LinkBlocks
from relay.tracker.reader_events import KEPT
from tests.servers.tracker_harness import CLICK, FIREFOX, KEYS, LEAVE, NOW, OPEN, QUEUE_ID, TARGET, Serve, path, serve
from tests.servers.waiting import until

__all__ = ["serve"]


async def test_the_pixel_is_a_gif_without_caching_and_an_open_is_recorded(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask(OPEN)
    assert answer.status == 200
    assert len(answer.body) == 43
    assert answer.body.startswith(b"GIF89a\x01\x00\x01\x00")
    assert answer.header("Content-Type") == "image/gif"
    assert answer.header("Cache-Control") == "no-store, no-cache, must-revalidate, max-age=0, private"
    assert (answer.header("Pragma"), answer.header("Expires")) == ("no-cache", "0")
    (event,) = await served.events(1)
    assert (event.kind, event.at, event.queue_id, event.number) == (EventKind.OPEN, NOW, QUEUE_ID, 3)
    identity = event.data["id"]
    assert isinstance(identity, str)
    assert re.fullmatch(r"[0-9a-f]{16}", identity)
    assert dict(event.data) == {"id": identity, "client": "127.0.0.1", "user_agent": FIREFOX}


async def test_a_click_leads_to_exactly_the_original_url_and_is_recorded(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask(CLICK)
    assert (answer.status, answer.header("Location"), answer.body) == (302, TARGET, b"")
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Referrer-Policy") == "no-referrer"
    assert answer.header("X-Robots-Tag") == "noindex, nofollow"
    assert answer.header("Set-Cookie") is None
    assert answer.header("Server") == "relay"
    (event,) = await served.events(1)
    assert (event.kind, event.data["target"]) == (EventKind.CLICK, TARGET)


@pytest.mark.parametrize(
    "target", ["https://a.example/%0d%0a", "HTTPS://UPPER.example/Q", "http://a.example?x=a%2Fb&&"]
)
async def test_no_url_is_normalised(serve: Serve, target: str) -> None:
    served = await serve()
    assert (await served.ask(path(Kind.CLICK, target))).header("Location") == target


async def test_a_target_with_line_ends_makes_no_header(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask(path(Kind.CLICK, "https://a.example/\r\nSet-Cookie: a=1\r\n\r\n<html>"))
    assert answer.header("Location") == "https://a.example/Set-Cookie:%20a=1<html>"
    assert answer.header("Set-Cookie") is None


async def test_a_signed_target_that_is_no_http_url_gets_no_redirect(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask(path(Kind.CLICK, "javascript:alert(1)"))
    assert (answer.status, answer.header("Location")) == (404, None)


async def test_the_longest_rewritten_url_fits(serve: Serve) -> None:
    served = await serve()
    target = "https://a.example/" + "p" * 8000
    assert (await served.ask(path(Kind.CLICK, target))).header("Location") == target


async def test_head_answers_the_same_without_a_body_and_counts_as_machine(serve: Serve) -> None:
    served = await serve()
    pixel, click = await served.ask(OPEN, "HEAD"), await served.ask(CLICK, "HEAD")
    assert (pixel.status, pixel.header("Content-Length")) == (200, "43")
    assert (click.status, click.header("Location")) == (302, TARGET)
    events = await served.events(2)
    assert [(event.data["machine"], event.data["reason"]) for event in events] == [(True, "HEAD")] * 2


async def test_machines_are_recorded_with_the_reason(serve: Serve) -> None:
    served = await serve()
    await served.ask(OPEN, User_Agent="curl/8.11.0" + "y" * 1000)
    (event,) = await served.events(1)
    agent = event.data["user_agent"]
    assert isinstance(agent, str)
    assert (event.data["reason"], len(agent), agent[:12]) == ("library", 512, "curl/8.11.0y")


async def test_every_altered_token_is_404_and_nothing_is_recorded(serve: Serve) -> None:
    served = await serve()
    base = f"http://127.0.0.1:{served.tracker.port}"
    async with aiohttp.ClientSession() as client:
        for whole in (OPEN, CLICK, LEAVE):
            for at in range(1, len(whole)):
                other = "A" if whole[at] != "A" else "B"
                for altered in (
                    whole[:at] + other + whole[at + 1 :],
                    whole[:at] + whole[at + 1 :],
                    whole[:at] + (whole[at] if at > 2 else "x") + whole[at:],
                ):
                    if altered.rstrip("-_") == whole.rstrip("-_"):
                        continue
                    async with client.get(URL(base + altered, encoded=True), allow_redirects=False) as answer:
                        assert (answer.status, "Location" in answer.headers) == (404, False), altered
    assert served.store.events == []
    assert served.sink.waiting == 0


async def test_a_token_of_another_kind_is_invalid(serve: Serve) -> None:
    served = await serve()
    tokens = {whole[1]: whole[3:] for whole in (OPEN, CLICK, LEAVE)}
    for kind in tokens:
        for other in tokens:
            answer = await served.ask(f"/{kind}/{tokens[other]}")
            assert (answer.status == 404) == (kind != other)


async def test_new_keys_are_valid_at_once_and_old_ones_while_configured(serve: Serve) -> None:
    served = await serve()
    fresh = parse_keyring([new_key(b"n" * 32, "k2")])
    served.keys[0] = Keyring(fresh.keys + KEYS.keys)
    assert (await served.ask(CLICK)).status == 302
    served.keys[0] = fresh
    assert (await served.ask(CLICK)).status == 404


async def test_an_added_query_changes_nothing(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask(CLICK + "?url=https://evil.example/&fbclid=x")
    assert answer.header("Location") == TARGET


async def test_what_programs_do_to_links_on_the_way_changes_nothing(serve: Serve) -> None:
    served = await serve()
    token = "".join(f"%{ord(one):02X}" if one in "-_Aa" else one for one in CLICK[3:])
    for changed in (f"/%63/{token}", f"//c//{CLICK[3:]}", f"{CLICK}%3E.", f"{CLICK}&utm_source=x", f"{CLICK}_%29"):
        answer = await served.ask(changed)
        assert (answer.status, answer.header("Location")) == (302, TARGET), changed
    assert (await served.ask(OPEN + ".gif")).status == 200
    assert (await served.ask(LEAVE + "%2C", "POST")).status == 200


async def test_the_absolute_form_of_a_proxy_redirects_to_the_same_target(serve: Serve) -> None:
    served = await serve()
    assert (await served.ask("http://t.example" + CLICK)).header("Location") == TARGET
    assert (await served.ask("http://evil.example/")).status == 404


async def test_while_the_store_is_down_links_work_and_events_arrive_later_exactly_once(serve: Serve) -> None:
    served = await serve()
    served.store.down = True
    clicks = [path(Kind.CLICK, TARGET, recipient) for recipient in range(100)]
    answers = await asyncio.gather(*map(served.ask, clicks))
    assert {answer.header("Location") for answer in answers} == {TARGET}
    await until(lambda: served.sink.waiting == 0 and not served.sink.store_answers)
    assert served.store.events == []
    served.store.down = False
    await served.events(100)
    await until(lambda: list(served.spool.iterdir()) == [])
    assert sorted(event.number for event in served.store.events) == list(range(100))
    assert len({event.data["id"] for event in served.store.events}) == 100


async def test_a_blocked_link_answers_410_with_a_page_and_its_story_says_so(serve: Serve) -> None:
    blocks = [LinkBlocks()]
    served = await serve(blocks=lambda: blocks[0])
    assert (await served.ask(CLICK)).status == 302
    blocks[0] = LinkBlocks([Block("host", "shop.example")])
    answer = await served.ask(CLICK)
    assert (answer.status, answer.header("Location"), answer.header("Cache-Control")) == (410, None, "no-store")
    assert b"This link was disabled" in answer.body
    assert b"shop.example" not in answer.body
    assert (await served.ask(CLICK, "HEAD")).status == 410
    assert (await served.ask(path(Kind.CLICK, "https://other.example/"))).status == 302
    blocks[0] = LinkBlocks()
    assert (await served.ask(CLICK)).status == 302

    events = await served.events(5)
    assert [event.data.get("blocked") for event in events] == [
        None,
        "host shop.example",
        "host shop.example",
        None,
        None,
    ]
    assert events[1].data["target"] == TARGET


async def test_a_canary_is_never_blocked(serve: Serve) -> None:
    served = await serve(blocks=lambda: LinkBlocks([Block("host", "t.example")]))
    sent = canary(KEYS, "https://t.example", 7)
    assert (await served.ask(URL(sent.link).path)).status == 302


async def test_a_flood_of_requests_makes_few_events(serve: Serve) -> None:
    """On the fast path and beside it: all readers get their answers."""
    folded: list[int] = []
    served = await serve(on_folded=folded.append)
    for url, fields in ((OPEN, {}), (OPEN, {"Connection": "close"}), (CLICK, {})):
        answers = await asyncio.gather(*(served.ask(url, **fields) for _ in range(30)))
        assert {answer.status for answer in answers} == {302 if url is CLICK else 200}
    await served.events(2 * KEPT)
    await served.tracker.stop()
    await served.sink.close()
    assert sum(folded) == 90 - 2 * KEPT
    kinds = [(event.kind, event.data.get("count")) for event in served.store.events]
    assert kinds.count((EventKind.OPEN, None)) == kinds.count((EventKind.CLICK, None)) == KEPT
    assert sorted(count for _, count in kinds if count) == [30 - KEPT, 60 - KEPT]
    assert all(event.data["machine"] for event in served.store.events if "count" in event.data)

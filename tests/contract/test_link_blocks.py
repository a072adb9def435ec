"""Blocked links are in force at once, and after a restart."""

from relay.rewrite.tokens import Kind, Token
from relay.storage.store import Store
from relay.tracker.link_blocks import Block
from tests.contract.conftest import Opener
from tests.contract.values import NOW

LINK = Token(Kind.CLICK, "0ABCDFGHJKLMNP", 0, "https://www.evil.test/login")


async def test_a_block_is_in_force_until_it_ends(store: Store) -> None:
    blocks = store.link_blocks
    assert blocks.blocks.find(LINK) is None
    added = await blocks.block(Block("host", "evil.test", NOW, "phishing"))
    assert (added.created_at, added.note) == (NOW, "phishing")
    assert blocks.blocks.find(LINK) == added
    assert await blocks.unblock(Block("host", "other.test")) is None
    assert await blocks.unblock(Block("host", "evil.test")) == added
    assert blocks.blocks.find(LINK) is None
    assert await blocks.all_blocks() == []


async def test_a_block_of_the_same_again_keeps_its_time_and_gets_a_note(store: Store) -> None:
    for at, note in ((NOW, ""), (NOW + 1, "phishing"), (NOW + 2, "")):
        again = await store.link_blocks.block(Block("host", "evil.test", at, note))
    assert (again.created_at, again.note) == (NOW, "phishing")
    assert len(await store.link_blocks.all_blocks()) == 1


async def test_blocks_outlast_the_process_newest_first(opener: Opener) -> None:
    store = await opener(NOW)
    url = f"evil.test/{'long' * 2000}"
    for number, block in enumerate((Block("host", "evil.test"), Block("url", url), Block("token", f"A/0 {url}"))):
        await store.link_blocks.block(Block(block.kind, block.value, NOW + number, "\udcffnote\0"))
    await store.close()

    later = await opener(NOW + 10)
    assert [one.kind for one in await later.link_blocks.all_blocks()] == ["token", "url", "host"]
    assert {one.note for one in await later.link_blocks.all_blocks()} == {"?note?"}
    assert later.link_blocks.blocks.find(LINK) == Block("host", "evil.test")

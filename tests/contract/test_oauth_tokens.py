"""Refresh tokens: one node at a time exchanges one, the first change wins, and no other text is lost."""

import asyncio

from relay.oauth.ports import StoredToken
from relay.storage.store import Store
from tests.contract.conftest import NOW, Opener


async def test_a_login_is_stored_and_a_later_one_takes_its_place(store: Store) -> None:
    tokens = store.oauth_tokens
    assert await tokens.find("m365") is None
    await tokens.put("m365", "k1:first", NOW)
    await tokens.put("bounces.imap", "k1:other", NOW)
    await tokens.put("m365", "k1:second", NOW + 5)
    assert await tokens.find("m365") == StoredToken("m365", "k1:second", 2, NOW + 5)
    assert [one.name for one in await tokens.tokens()] == ["bounces.imap", "m365"]
    assert (await tokens.delete("m365"), await tokens.delete("m365")) == (True, False)
    assert [one.name for one in await tokens.tokens()] == ["bounces.imap"]


async def test_one_node_reserves_a_token_until_it_releases_it_or_the_time_is_over(store: Store) -> None:
    tokens = store.oauth_tokens
    await tokens.put("m365", "k1:first", NOW)
    taken = await tokens.lease("m365", "node-a", NOW, NOW + 60)
    assert taken is not None
    assert await tokens.lease("m365", "node-b", NOW + 59, NOW + 119) is None
    assert await tokens.lease("m365", "node-b", NOW + 60, NOW + 120) == taken
    await tokens.release("m365", "node-a")
    assert await tokens.lease("m365", "node-a", NOW + 61, NOW + 121) is None
    await tokens.release("m365", "node-b")
    assert await tokens.lease("m365", "node-a", NOW + 62, NOW + 122) == taken
    assert await tokens.lease("nobody", "node-a", NOW, NOW + 60) is None


async def test_a_reservation_from_before_the_clock_was_set_back_holds_nobody_up(store: Store) -> None:
    tokens = store.oauth_tokens
    await tokens.put("m365", "k1:first", NOW)
    taken = await tokens.lease("m365", "ended", NOW + 86400, NOW + 86460)
    assert await tokens.lease("m365", "node-a", NOW, NOW + 60) == taken
    assert await tokens.lease("m365", "node-b", NOW - 300, NOW - 240) is None


async def test_of_two_changes_of_one_token_exactly_one_is_written(store: Store) -> None:
    tokens = store.oauth_tokens
    await tokens.put("m365", "k1:first", NOW)
    taken = await tokens.lease("m365", "node-a", NOW, NOW + 60)
    assert taken is not None
    results = await asyncio.gather(tokens.rotate(taken, "k1:by-a"), tokens.rotate(taken, "k1:by-b"))
    assert sorted(results) == [False, True]
    found = await tokens.find("m365")
    assert found == StoredToken("m365", "k1:by-a" if results[0] else "k1:by-b", 2, NOW)
    assert await tokens.lease("m365", "node-b", NOW + 2, NOW + 62) == found


async def test_a_login_while_a_token_is_exchanged_stays(store: Store) -> None:
    tokens = store.oauth_tokens
    await tokens.put("m365", "k1:first", NOW)
    taken = await tokens.lease("m365", "node-a", NOW, NOW + 60)
    assert taken is not None
    await tokens.put("m365", "k1:login", NOW + 1)
    assert not await tokens.rotate(taken, "k1:exchanged")
    assert await tokens.find("m365") == StoredToken("m365", "k1:login", 2, NOW + 1)


async def test_a_login_after_a_logout_while_a_token_is_exchanged_stays(store: Store) -> None:
    tokens = store.oauth_tokens
    await tokens.put("m365", "k1:first", NOW)
    taken = await tokens.lease("m365", "node-a", NOW, NOW + 60)
    assert taken is not None
    await tokens.delete("m365")
    await tokens.put("m365", "k1:login", NOW + 1)
    assert not await tokens.rotate(taken, "k1:exchanged")
    assert await tokens.find("m365") == StoredToken("m365", "k1:login", 1, NOW + 1)


async def test_a_changed_token_is_durable(opener: Opener) -> None:
    first = await opener(NOW)
    await first.oauth_tokens.put("m365", "k1:first", NOW)
    taken = await first.oauth_tokens.lease("m365", "node-a", NOW, NOW + 60)
    assert taken is not None
    assert await first.oauth_tokens.rotate(taken, "k1:next")
    await first.close()
    second = await opener(NOW + 10)
    assert await second.oauth_tokens.find("m365") == StoredToken("m365", "k1:next", 2, NOW)

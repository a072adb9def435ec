"""Refresh tokens: durable before their access token is used, never used twice, sealed, and of the last login."""

import asyncio
import os

import pytest

from relay.oauth.guidance import NO_LOGIN
from relay.oauth.sealing import SealError, seal, unseal
from relay.oauth.token_responses import Grant, Refusal
from tests.unit.oauth_harness import Harness
from tests.unit.oauth_parts import KEYS, USER, MemoryTokens


async def test_the_new_refresh_token_is_durable_before_the_access_token_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.oauth.rotation.STORE_RETRY", 0.0)
    harness = Harness(USER)
    await harness.refresh.put("up", "refresh-1")
    harness.endpoint.next.append(Grant("access-1", 3600.0, "refresh-2"))
    harness.store.fails_at, harness.store.failures = "rotate", 3
    assert await harness.value() == "access-1"
    assert harness.stored() == "refresh-2"
    assert len(harness.troubles) == 3
    assert len(harness.endpoint.forms) == 1
    assert not harness.store.held


async def test_no_request_is_made_while_the_store_is_away() -> None:
    harness = Harness(USER)
    await harness.refresh.put("up", "refresh-1")
    harness.store.fails_at, harness.store.failures = "lease", 1
    assert "the store does not answer: disk full" in (await harness.failure()).reason
    assert harness.endpoint.forms == []


async def test_two_nodes_never_use_one_refresh_token_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.oauth.rotation.POLL", 0.0)
    store = MemoryTokens()
    one, other = Harness(USER, store), Harness(USER, store)
    await one.refresh.put("up", "refresh-1")

    async def slowly() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    for number, harness in enumerate((one, other)):
        harness.endpoint.before = slowly
        harness.endpoint.next.append(Grant(f"access-of-{number}", 3600.0, f"refresh-of-{number}"))
    assert list(await asyncio.gather(one.value(), other.value())) == ["access-of-0", "access-of-1"]
    used = [form["refresh_token"] for harness in (one, other) for form in harness.endpoint.forms]
    assert used == ["refresh-1", "refresh-of-0"]
    assert one.stored() == "refresh-of-1"


async def test_a_refusal_of_a_token_that_another_node_changed_meanwhile_is_no_refusal() -> None:
    harness = Harness(USER)
    await harness.refresh.put("up", "refresh-1")

    async def another_node_logs_in() -> None:
        harness.endpoint.before = None
        await harness.refresh.put("up", "refresh-9")

    harness.endpoint.before = another_node_logs_in
    harness.endpoint.next.append(Refusal("invalid_grant"))
    assert await harness.value() == "access-2"
    assert [form["refresh_token"] for form in harness.endpoint.forms] == ["refresh-1", "refresh-9"]


async def test_without_a_login_the_guidance_names_the_command() -> None:
    found = await Harness(USER).failure()
    assert (found.reason, found.guidance, found.is_final) == (NO_LOGIN, "Run `relay oauth login up`.", True)


async def test_a_login_on_another_node_counts_at_once() -> None:
    node, other = Harness(USER), Harness(USER)
    other.refresh.store = node.store
    assert (await other.failure()).kind == NO_LOGIN
    await node.refresh.put("up", "r1")
    assert await other.value()


async def test_a_login_sealed_with_a_lost_key_counts_as_none() -> None:
    harness = Harness(USER)
    await harness.store.put("up", seal("refresh-1", "up", ("gone", bytes(32)), os.urandom(12)), 0.0)
    found = await harness.failure()
    assert "'gone'" in found.reason
    assert found.guidance == "Run `relay oauth login up`."


def test_a_sealed_token_opens_for_its_account_and_key_only() -> None:
    sealed = seal("refresh-1", "up", KEYS[0], os.urandom(12))
    assert "refresh" not in sealed
    assert unseal(sealed, "up", (("k2", bytes(32)), *KEYS)) == "refresh-1"
    for name, keys in (("other", KEYS), ("up", (("k1", bytes(32)),)), ("up", ())):
        with pytest.raises(SealError):
            unseal(sealed, name, keys)


async def test_a_request_of_replaced_settings_and_the_next_one_never_use_one_refresh_token_twice() -> None:
    harness, gate = Harness(USER), asyncio.Event()
    await harness.refresh.put("up", "first")
    harness.endpoint.before = gate.wait
    harness.endpoint.next += [Grant("a", 3600.0, "second"), Grant("b", 3600.0, "third")]
    exchanges = [asyncio.create_task(harness.refresh.exchange(harness.source.account)) for _ in range(2)]
    for _ in range(20):
        await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*exchanges) == [Grant("a", 3600.0, "second"), Grant("b", 3600.0, "third")]
    assert [form["refresh_token"] for form in harness.endpoint.forms] == ["first", "second"]
    assert harness.stored() == "third"


@pytest.mark.parametrize("new", ["", "exchanged"])
async def test_a_login_during_a_request_gives_the_token_of_the_new_login(new: str) -> None:
    harness = Harness(USER)
    await harness.refresh.put("up", "first")

    async def log_in() -> None:
        harness.endpoint.before = None
        await harness.refresh.put("up", "login")
        harness.source.forget()

    harness.endpoint.before = log_in
    harness.endpoint.next += [Grant("of-first", 3600.0, new), Grant("of-login", 3600.0)]
    assert await harness.value() == "of-login"
    assert [form["refresh_token"] for form in harness.endpoint.forms] == ["first", "login"]
    assert harness.stored() == "login"


async def test_no_token_is_left_of_a_request_during_a_logout() -> None:
    harness = Harness(USER)
    await harness.refresh.put("up", "first")

    async def log_out() -> None:
        await harness.store.delete("up")
        harness.source.forget()

    harness.endpoint.before = log_out
    harness.endpoint.next += [Grant("of-first", 3600.0, "second")]
    assert (await harness.failure()).reason == NO_LOGIN
    assert not harness.store.rows


@pytest.mark.parametrize("sealed", ["k1:", "k1:AAAA", "k1:=", "k1:" + "A" * 64, "\u00e9", "k1:\u00e9"])
async def test_a_login_that_was_changed_in_the_store_counts_as_none(sealed: str) -> None:
    harness = Harness(USER)
    await harness.store.put("up", sealed, 0.0)
    assert (await harness.failure()).reason.startswith(NO_LOGIN)


async def test_a_refresh_token_that_does_not_change_is_sealed_anew_with_the_first_key() -> None:
    harness = Harness(USER)
    await harness.refresh.put("up", "first")
    new = ("k2", bytes(32))
    harness.keys = (new, *KEYS)
    harness.endpoint.next += [Refusal("server_error", is_final=False), Grant("a", 3600.0), Grant("b", 3600.0)]
    await harness.failure()
    assert harness.stored() == "first"

    harness.steady.now += 60
    assert await harness.value() == "a"
    harness.keys = (new,)
    harness.source.forget()
    assert await harness.value() == "b"
    assert [form["refresh_token"] for form in harness.endpoint.forms] == ["first"] * 3
    assert harness.store.rows["up"].version == 2

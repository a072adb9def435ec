"""Access tokens: fetched ahead of time, one request for many connections, a failure that is not repeated at once."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from relay.events.ports import StoreError
from relay.oauth.account import Account
from relay.oauth.guidance import NO_LOGIN
from relay.oauth.rotation import RefreshTokens
from relay.oauth.sealing import Key, SealError, seal, unseal
from relay.oauth.token_responses import Grant, Refusal
from relay.oauth.tokens import AccessToken, NoToken, TokenSource
from tests.unit.oauth_parts import KEYS, MICROSOFT, USER, Endpoint, MemoryTokens, Moments, account_of


class Harness:
    """A token source with an endpoint, a store and clocks in memory. `noted` are the results that it reported."""

    def __init__(self, oauth: Mapping[str, Any] = MICROSOFT, store: MemoryTokens | None = None) -> None:
        self.endpoint, self.clock, self.steady = Endpoint(), Moments(), Moments(0.0)
        self.store = store or MemoryTokens()
        self.keys: Sequence[Key] = KEYS
        self.troubles: list[StoreError] = []
        self.noted: list[AccessToken | NoToken] = []
        self.refresh = RefreshTokens(
            self.store,
            keys=lambda: self.keys,
            ask=self.endpoint,
            clock=self.clock,
            random=os.urandom,
            store_failed=self.troubles.append,
        )
        self.source = TokenSource(
            account_of(oauth),
            self.refresh,
            self.endpoint,
            clock=self.clock,
            steady=self.steady,
            random=os.urandom,
            noted=self.note,
        )

    def note(self, _: Account, result: AccessToken | NoToken) -> None:
        self.noted.append(result)

    async def value(self) -> str:
        found = await self.source.token()
        assert isinstance(found, AccessToken), found
        return found.value

    async def failure(self) -> NoToken:
        found = await self.source.token()
        assert isinstance(found, NoToken), found
        return found

    async def settled(self) -> None:
        """Wait until no request is in flight."""
        while self.source.is_fetching:
            await asyncio.sleep(0)

    def stored(self) -> str:
        (row,) = self.store.rows.values()
        return unseal(row.sealed, "up", KEYS)


async def test_many_connections_make_one_request() -> None:
    harness, gate = Harness(), asyncio.Event()
    harness.endpoint.before = gate.wait
    waiting = [asyncio.create_task(harness.value()) for _ in range(50)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*waiting) == ["access-1"] * 50
    assert await harness.value() == "access-1"
    assert len(harness.endpoint.forms) == 1


async def test_the_next_token_is_fetched_while_the_old_one_still_holds() -> None:
    harness = Harness()
    assert await harness.value() == "access-1"
    harness.steady.now = 2879.0
    assert await harness.value() == "access-1"
    assert len(harness.endpoint.forms) == 1
    harness.steady.now = 2881.0
    assert await harness.value() == "access-1"
    await harness.settled()
    assert await harness.value() == "access-2"


async def test_a_token_that_is_over_is_not_used_though_the_next_request_fails() -> None:
    harness = Harness()
    assert await harness.value() == "access-1"
    harness.endpoint.next.append(Refusal("server_error", is_final=False))
    harness.steady.now = 3595.0
    assert (await harness.failure()).is_final is False


async def test_a_failed_renewal_ahead_of_time_leaves_the_token_in_use_until_it_ends() -> None:
    harness = Harness()
    assert await harness.value() == "access-1"
    harness.endpoint.next.append(Refusal("invalid_client", "AADSTS7000222: expired", "AADSTS7000222"))
    harness.steady.now = 3000.0
    assert await harness.value() == "access-1"
    await harness.settled()
    assert await harness.value() == "access-1"
    assert isinstance(harness.noted[-1], NoToken)


async def test_a_failure_is_the_answer_to_all_for_some_seconds_and_then_the_endpoint_is_asked_again() -> None:
    harness = Harness()
    harness.endpoint.next.append(Refusal("no answer", "refused", is_final=False))
    assert str(await harness.failure()).startswith(
        "no access token at present from login.microsoftonline.com: no answer"
    )
    await harness.failure()
    assert len(harness.endpoint.forms) == 1
    harness.steady.now = 10.0
    assert await harness.value() == "access-2"


async def test_a_refused_token_is_replaced_once_for_all_connections_that_had_it() -> None:
    harness = Harness()
    first = await harness.source.token()
    assert isinstance(first, AccessToken)
    renewed = [await harness.source.renewed(first), await harness.source.renewed(first)]
    assert [one.value for one in renewed if isinstance(one, AccessToken)] == ["access-2", "access-2"]
    assert len(harness.endpoint.forms) == 2


async def test_a_waiting_connection_that_gives_up_does_not_end_the_request_of_the_others() -> None:
    harness, gate = Harness(), asyncio.Event()
    harness.endpoint.before = gate.wait
    first, second = asyncio.create_task(harness.value()), asyncio.create_task(harness.value())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert await second == "access-1"


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


def test_no_value_shows_a_token() -> None:
    shown = [repr(AccessToken("hush", "h", 0, 0)), repr(Grant("hush", 1.0, "hush")), repr(Harness()), repr(KEYS and "")]
    assert not any("hush" in one for one in shown)


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

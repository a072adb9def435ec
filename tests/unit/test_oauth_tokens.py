"""Access tokens: fetched ahead of time, one request for many connections, a failure that is not repeated at once."""

import asyncio

from relay.oauth.token_responses import Grant, Refusal
from relay.oauth.tokens import AccessToken, NoToken
from tests.unit.oauth_harness import Harness
from tests.unit.oauth_parts import KEYS


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


def test_no_value_shows_a_token() -> None:
    shown = [repr(AccessToken("hush", "h", 0, 0)), repr(Grant("hush", 1.0, "hush")), repr(Harness()), repr(KEYS and "")]
    assert not any("hush" in one for one in shown)

"""Sites and pauses: the commands over the routes, with a real queue and store behind them."""

import json

import pytest

from relay.mail.reply import Reply
from relay.queue.outcome import Deferred
from tests.unit.operator_harness import BIG, Operator, operator
from tests.unit.queue_harness import NOW

__all__ = ["operator"]


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (["--campaign", "spring"], "its campaign spring is paused: an operator paused it: wait"),
        (["--identity", "News@Acme.test"], "its identity is paused: an operator paused it: wait"),
        (["--domain", "X.test"], "its domain x.test is paused"),
        (["--provider", "direct"], "its provider direct is paused"),
        (["big"], "its site big is paused"),
    ],
)
async def test_a_pause_holds_what_comes_and_resuming_releases_it(
    operator: Operator, subject: list[str], reason: str
) -> None:
    operator.harness.context.rates.admit("mx:x.test", BIG, None, NOW)
    assert "is paused" in await operator.output("site", "pause", *subject, "--reason", "wait")
    await operator.enqueue("0000000000000A", "u@x.test", campaign="spring")
    assert await operator.reason() == reason
    assert operator.harness.delivery.jobs == []
    assert reason in await operator.output("why", "0000000000000A/0")
    assert "resume" in await operator.output("why", "u@x.test")

    told = await operator.output("site", "resume", *subject)
    assert "1 waiting recipients are due now" in told
    assert await operator.states() == {"A": "delivered"}
    assert "is not paused" in await operator.output("site", "resume", *subject)


async def test_a_pause_ends_by_its_time_and_other_mail_leaves(operator: Operator) -> None:
    await operator.output("site", "pause", "--campaign", "spring", "--for", "10m")
    assert "is paused already" in await operator.output("site", "pause", "--campaign", "spring", "--for", "5m")
    await operator.enqueue("0000000000000A", "u@x.test", campaign="spring")
    await operator.enqueue("0000000000000B", "u@x.test", campaign="autumn")
    await operator.enqueue("0000000000000C", "u@x.test")
    assert await operator.states() == {"A": "waiting", "B": "delivered", "C": "delivered"}
    operator.harness.now += 601
    assert await operator.states() == {"A": "delivered", "B": "delivered", "C": "delivered"}
    assert [line for line, _ in operator.lines] == ["pause.begun", "pause.begun"]
    assert len({fields["until"] for _, fields in operator.lines}) == 1, (
        "the end in force, not that of the shorter pause"
    )


async def test_a_held_provider_takes_no_fallback(operator: Operator) -> None:
    await operator.output("site", "pause", "--provider", "newsletter")
    await operator.enqueue("0000000000000A", "u@x.test", provider="newsletter")
    assert (await operator.reason()).startswith("its provider newsletter is paused")
    assert "newsletter" in await operator.output("site", "list")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["site", "pause"], "name one of SITE"),
        (["site", "pause", "big", "--domain", "x.test"], "name one of SITE"),
        (["site", "pause", "big", "--for", "soon"], "is not a time"),
        (["site", "pause", "huge"], 'there is no site "huge"'),
        (["site", "pause", "--identity", "nobody@acme.test"], "is not an identity"),
        (["site", "pause", "--provider", "other"], "there is no provider"),
        (["site", "pause", "big", "--reason", "two\nlines"], "one line of at most"),
        (["site", "show", "huge"], 'there is no site "huge"'),
        (["why", "0000000000000Z"], "there is no message"),
    ],
)
async def test_bad_input_gets_an_error_that_says_what_is_right(
    operator: Operator, arguments: list[str], problem: str
) -> None:
    result = await operator.run(*arguments)
    assert result.exit_code != 0
    assert problem in result.output


async def test_the_list_shows_sites_in_use_and_all_profiles_on_request(operator: Operator) -> None:
    rates = operator.harness.context.rates
    rates.admit("mx:x.test", BIG, None, NOW)
    for _ in range(20):
        rates.accepted("mx:x.test", NOW, NOW)
    rates.slowed("mx:x.test", NOW, NOW, "421 slow down")
    listed = await operator.output("site", "list")
    assert "limited" in listed
    assert "421 slow down" in listed
    assert "google" not in listed
    assert "google" in await operator.output("site", "list", "--all")
    (shown,) = (json.loads(line) for line in (await operator.output("site", "show", "x.test", "--json")).splitlines())
    assert (shown["site"], shown["rate_found"], shown["rate"], shown["lanes"]) == ("big", 20.0, 10.0, ["mx:x.test"])
    shown = await operator.output("site", "show", "big")
    assert "10 messages a minute" in shown
    assert "slowed to 10 messages a minute: 421 slow down" in shown


async def test_three_domains_that_block_us_pause_their_site_which_is_probed_afterwards(operator: Operator) -> None:
    harness, rates = operator.harness, operator.harness.context.rates
    blocked = Deferred(Reply(451, "4.7.1", "Your host is listed at sbl.spamhaus.org, blocked"), "mx[192.0.2.1]:25")
    for number, name in enumerate("xyz"):
        rates.admit(f"mx:{name}.test", BIG, None, NOW)
        harness.delivery.answers = [blocked]
        await operator.enqueue(f"0000000000000{'ABC'[number]}", f"u@{name}.test")
    assert ("site:big", "blocked") in harness.raised
    rates.admit("mx:w.test", BIG, None, NOW)
    await operator.enqueue("0000000000000D", "u@w.test")
    assert (await operator.states())["D"] == "waiting"
    assert "its site big is paused: 451 4.7.1 Your host is listed" in await operator.output("why", "0000000000000D")
    assert "paused" in await operator.output("site", "show", "big")

    harness.now += 901
    assert rates.connections("big", 5) == 1
    assert (await operator.states())["D"] == "delivered"


async def test_two_domains_that_block_us_pause_themselves_only(operator: Operator) -> None:
    harness, rates = operator.harness, operator.harness.context.rates
    blocked = Deferred(Reply(451, "4.7.1", "Your host is listed at sbl.spamhaus.org, blocked"), "mx[192.0.2.1]:25")
    for number, name in enumerate("xy"):
        rates.admit(f"mx:{name}.test", BIG, None, NOW)
        harness.delivery.answers = [blocked]
        await operator.enqueue(f"0000000000000{'AB'[number]}", f"u@{name}.test")
    rates.admit("mx:w.test", BIG, None, NOW)
    await operator.enqueue("0000000000000D", "u@w.test")
    assert (await operator.states())["D"] == "delivered"

"""`relay why` over its route, with a real queue and store behind it."""

import json

import pytest

from tests.unit.operator_harness import BIG, Operator, operator
from tests.unit.queue_harness import BUSY, NOW

__all__ = ["operator"]


async def test_why_names_the_back_off_the_lane_and_the_rate(operator: Operator) -> None:
    operator.harness.delivery.answers = [BUSY]
    await operator.enqueue("0000000000000A", "u@x.test")
    rates = operator.harness.context.rates
    rates.admit("mx:x.test", BIG, None, NOW)
    rates.slowed("mx:x.test", NOW, NOW, "421 slow down")
    answer = json.loads(await operator.output("why", "x.test", "--json"))
    assert (answer["kind"], [one["site"] for one in answer["sites"]]) == ("domain", ["big"])
    (entry,) = answer["entries"]
    assert [reason["cause"] for reason in entry["reasons"]] == ["back-off", "site rate"]
    assert "451 4.3.2 busy" in entry["reasons"][0]["text"]
    assert entry["reasons"][0]["remedy"] == "relay queue flush 0000000000000A"
    assert answer["servers"] == [{"lane": "mx:x.test", "endpoints": ["mx1.big.test[8.8.8.8]:25"], "problem": ""}]
    told = await operator.output("why", "x.test")
    assert "servers of mx:x.test  mx1.big.test[8.8.8.8]:25" in told
    assert "slowed to" in told
    assert "none: 550 5.1.2 domain gone.test does not exist" in await operator.output("why", "gone.test")
    assert json.loads(await operator.output("why", "big", "--json"))["kind"] == "site"
    assert "nothing waits for provider" in await operator.output("why", "provider:newsletter")


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("X.Test.", "domain"),
        ("mx:x.test", "domain"),
        ("<u@X.TEST>", "recipient"),
        ("U@x.test", "recipient"),
        ("BIG", "site"),
        ("0000000000000a/0", "entry"),
    ],
)
async def test_why_takes_targets_as_logs_and_lists_show_them(operator: Operator, target: str, kind: str) -> None:
    operator.harness.delivery.answers = [BUSY]
    await operator.enqueue("0000000000000A", "u@x.test")
    operator.harness.context.rates.admit("mx:x.test", BIG, None, NOW)
    answer = json.loads(await operator.output("why", target, "--json"))
    assert (answer["kind"], len(answer["entries"])) == (kind, 1)


async def test_why_says_that_it_is_cut_where_one_lane_has_more_than_its_part(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.admin.wait_reasons.MAX_ENTRIES", 4)
    operator.harness.delivery.answers = [BUSY] * 9
    for number, recipient in enumerate(("a@x.test", "b@x.test", "c@x.test", "d@y.test")):
        operator.harness.context.rates.admit(f"mx:{recipient[2:]}", BIG, None, NOW)
        await operator.enqueue(f"0000000000000{'ABCD'[number]}", recipient)
    for target, shown, more in (("big", 3, True), ("x.test", 3, False), ("0000000000000A/0", 1, False)):
        answer = json.loads(await operator.output("why", target, "--json"))
        assert (len(answer["entries"]), answer["more"]) == (shown, more), target


async def test_why_says_what_became_of_a_message(operator: Operator) -> None:
    await operator.enqueue("0000000000000A", "u@x.test")
    assert "accepted it: 250 2.0.0 ok" in await operator.output("why", "0000000000000a")

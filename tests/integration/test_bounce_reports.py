"""Reports of bounces by the commands: counts, explanations, and the messages behind them."""

import asyncio
import csv
import io
from pathlib import Path

import pytest

from tests.integration.bounce_relay import BOUNCE, Relay
from tests.servers.actions import Say
from tests.servers.sink import Sink


async def test_reports_count_bounces_explain_them_and_show_the_messages_behind(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port) as relay:
        await _history(relay, sink)
        (found,) = await relay.json("report", "bounces", "--since", "1d")
        counts = ("recipients", "delivered", "bounced", "dropped", "waiting", "late")
        assert [found[key] for key in counts] == [3, 0, 3, 0, 0, 1]
        assert found["bounce_rate"] == 1.0
        # With two notifications to news@acme.test about what was refused at once.
        (whole,) = await relay.json("report", "bounces", "--since", "1d", "--system")
        assert [whole[key] for key in counts] == [5, 2, 3, 0, 0, 1]
        by_category = {one["category"]: one for one in found["categories"]}
        assert {name: one["bounced"] for name, one in by_category.items()} == {"bad_mailbox": 2, "recipient_refused": 1}
        assert "Look for a typing error in the address." in by_category["bad_mailbox"]["guidance"]
        (rcpt,) = found["destinations"]
        assert (rcpt["destination"], rcpt["recipients"], rcpt["bounced"]) == ("rcpt.test", 3, 3)
        assert sum(one["count"] for one in found["replies"]) == 3
        late = await relay.json(
            "report", "bounces", "--category", "bad_mailbox", "--meta", "invoice=1042", "--messages"
        )
        assert sorted(one["recipient"] for one in late) == ["gone@rcpt.test", "u@rcpt.test"]
        assert {(one["subject"], one["type"], one["domain"]) for one in late} == {
            ("invoice", "transactional", "acme.test")
        }
        for nothing in (
            ("--tag", "other"),
            ("--type", "campaign"),
            ("--identity", "x@y.test"),
            ("--since", "2099-01-01"),
        ):
            assert not await relay.json("report", "bounces", "--messages", *nothing)
        table = await relay.run("report", "bounces", "--csv")
        assert {row["category"]: row["bounced"] for row in csv.DictReader(io.StringIO(table))} == {
            "bad_mailbox": "2",
            "recipient_refused": "1",
        }
        shown = await relay.run("report", "bounces")
        assert "No such address (bad_mailbox)" in shown
        (deliveries,) = await relay.json("report", "deliveries", "--domain", "acme.test")
        assert (deliveries["recipients"], deliveries["delivered"], deliveries["bounced"]) == (3, 0, 3)
        stories = await relay.json("report", "messages", "--meta", "invoice=1042")
        assert [one["recipients"][0]["recipient"] for one in stories] == [
            "u@rcpt.test",
            "odd@rcpt.test",
            "gone@rcpt.test",
        ]
        assert {one["recipients"][0]["status"] for one in stories} == {"bounced"}
        assert not stories[0]["recipients"][0]["reply"].startswith("250"), "a late bounce shows its own reply"
        assert not await relay.json("report", "messages", "--meta", "invoice=1043")
        (cluster,) = await relay.json("report", "unclassified")
        assert (cluster["count"], cluster["example"]) == (1, "550 5.0.0 Zork 4711 blorb")
        with pytest.raises(AssertionError, match="not one of"):
            await relay.run("report", "bounces", "--category", "nonsense")
        with pytest.raises(AssertionError, match="use 30d"):
            await relay.run("report", "bounces", "--since", "soon")


async def _history(relay: Relay, sink: Sink) -> None:
    """One recipient refused as unknown, one refused in words nobody knows, one taken that bounces afterwards."""
    for text, recipient in (
        ("550 5.1.1 <gone@rcpt.test>: Recipient address rejected: User unknown", "gone@rcpt.test"),
        ("550 5.0.0 Zork 4711 blorb", "odd@rcpt.test"),
    ):
        sink.once(f"RCPT {recipient}", Say(text))
        await relay.story(await asyncio.to_thread(relay.send, recipient), "bounced")
    await sink.received(2)
    queue_id = await asyncio.to_thread(relay.send, "u@rcpt.test")
    got = (await sink.received(3))[2]
    await relay.story(queue_id, "delivered")
    await asyncio.to_thread(relay.give_back, got.reverse_path, BOUNCE)
    await relay.story(queue_id, "bounced")

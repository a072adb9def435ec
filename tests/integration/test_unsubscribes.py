"""Unsubscribing end to end: campaign mail offers it, one click takes it, and what leaves afterwards."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dkim
import pytest

from tests.integration.unsubscribe_relay import Relay
from tests.servers.sink import Sink


async def test_campaign_mail_offers_it_signed_and_only_campaign_mail(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink) as relay:
        await relay.send("spring")
        await relay.send()
        campaign, transactional = sorted(await sink.received(2), key=lambda got: b"List-Unsub" not in got.content)
        assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in campaign.content
        assert b"List-Unsubscribe" not in transactional.content
        record = relay.dns_record
        for got in (campaign, transactional):
            assert dkim.verify(got.content, dnsfunc=lambda name, timeout=5: record)  # type: ignore[no-untyped-call]
        broken = campaign.content.replace(b"/u/", b"/u/A")
        assert not dkim.verify(broken, dnsfunc=lambda name, timeout=5: record)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("exclusion", "autumn"), [("campaign", "delivered"), ("domain", "dropped"), ("global", "dropped")]
)
async def test_one_click_excludes_from_the_campaign_but_not_from_transactional_mail(
    tmp_path: Path, exclusion: str, autumn: str
) -> None:
    async with Sink() as sink, Relay(tmp_path, sink, exclusion) as relay:
        first = await relay.send("spring")
        (got,) = await sink.received(1)
        await relay.click(got)
        (entry,) = await relay.listed(1)
        assert (entry["address"], entry["domain"], entry["campaign"]) == ("u@rcpt.test", "acme.test", "spring")
        assert (entry["source"], entry["queue_id"]) == ("one-click", first)
        dropped = await relay.fate(await relay.send("spring"), "dropped")
        assert dropped["reason"] == 'unsubscribed from campaign "spring" of acme.test (one-click)'
        await relay.fate(await relay.send("spring", "other@rcpt.test"), "delivered")
        await relay.fate(await relay.send("autumn"), autumn)
        elsewhere = "dropped" if exclusion == "global" else "delivered"
        await relay.fate(await relay.send("winter", sender="news@other.test"), elsewhere)
        assert entry["excludes_from"] == exclusion
        await relay.fate(await relay.send(), "delivered")


async def test_the_link_in_the_body_unsubscribes_and_transactional_mail_reports_the_placeholder(tmp_path: Path) -> None:
    html = b"Content-Type: text/html\r\n\r\n<a href='https://shop.test/'>Shop</a> <a href='*|UNSUB|*'>Leave</a>\r\n"
    async with Sink() as sink, Relay(tmp_path, sink) as relay:
        first = await relay.send("spring", body=html)
        (got,) = await sink.received(1)
        assert got.content.count(b".test/c/") == 1
        await relay.click(got, rb"href='https://t\.acme\.test(/u/[\w-]+)'")
        (entry,) = await relay.listed(1)
        assert (entry["address"], entry["campaign"], entry["queue_id"]) == ("u@rcpt.test", "spring", first)

        receipt = await relay.send(body=html)
        await relay.fate(receipt, "delivered")
        (story,) = await relay.json("trace", receipt)
        assert any("unsubscribe placeholder" in str(event.get("skipped", "")) for event in story["events"])
        assert b"*|UNSUB|*" in (await sink.received(2))[1].content


async def test_waiting_mail_is_not_sent_to_unsubscribed_recipients(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink) as relay:
        await relay.send("spring")
        (got,) = await sink.received(1)
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        waiting = await relay.send("spring", at=tomorrow)
        await relay.click(got)
        await relay.listed(1)
        await relay.run("queue", "flush", waiting)
        await relay.fate(waiting, "dropped")
        assert len(sink.messages) == 1


async def test_the_list_is_edited_exported_and_imported(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink) as relay:
        await relay.json("unsubscribe", "add", "A@x.test", "--domain", "ACME.test", "--campaign", "spring")
        await relay.json("unsubscribe", "add", "b@x.test")
        listed = await relay.json("unsubscribe", "list")
        assert [(one["address"], one["domain"], one["campaign"], one["source"]) for one in listed] == [
            ("a@x.test", "acme.test", "spring", "operator"),
            ("b@x.test", "", "", "operator"),
        ]
        table, lines = await relay.run("unsubscribe", "export"), await relay.run("unsubscribe", "export", "--json")
        assert [row["address"] for row in csv.DictReader(io.StringIO(table))] == ["a@x.test", "b@x.test"]
        for name, text in (("list.csv", table), ("list.jsonl", lines)):
            taken = await relay.json("unsubscribe", "remove", "A@x.test", "b@x.test")
            assert [one["address"] for one in taken] == ["a@x.test", "b@x.test"]
            assert not await relay.json("unsubscribe", "list")
            (tmp_path / name).write_text(text)
            (answer,) = await relay.json("unsubscribe", "import", str(tmp_path / name))
            assert (answer["imported"], answer["faults"]) == (2, 0)
            assert await relay.json("unsubscribe", "list") == listed
        (tmp_path / "plain.txt").write_text("c@x.test\nd@x.test\n")
        await relay.run("unsubscribe", "import", str(tmp_path / "plain.txt"), "--domain", "acme.test")
        imported = await relay.json("unsubscribe", "list", "--source", "import")
        assert [(one["address"], one["domain"]) for one in imported] == [
            ("c@x.test", "acme.test"),
            ("d@x.test", "acme.test"),
        ]
        (tmp_path / "bad.csv").write_text("address,source\nno-address,\nb@x.test,nowhere\n")
        with pytest.raises(AssertionError, match=r"(?s)line 2: .*no @ in the address.*line 3: source 'nowhere'"):
            await relay.run("unsubscribe", "import", str(tmp_path / "bad.csv"))
        with pytest.raises(AssertionError, match="ended with 1"):
            await relay.run("unsubscribe", "remove", "nobody@x.test")


async def test_the_engagement_report_counts_people_machines_and_unsubscribes(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink) as relay:
        queue_id = await relay.send("spring")
        (got,) = await sink.received(1)
        await relay.click(got)
        await relay.listed(1)
        await relay.send()
        await relay.fate(queue_id, "delivered")
        (report,) = await relay.json("report", "engagement", "--campaign", "spring")
        assert (report["delivered"], report["unsubscribes"], report["opens"]) == (1, 1, 0)
        (row,) = csv.DictReader(io.StringIO(await relay.run("report", "engagement", "--csv", "--type", "campaign")))
        assert (row["campaign"], row["unsubscribe_rate"]) == ("spring", "1.0")
        table = await relay.run("report", "engagement")
        assert [line.split()[0] for line in table.splitlines()] == ["CAMPAIGN", "spring", "(transactional)", "(all)"]

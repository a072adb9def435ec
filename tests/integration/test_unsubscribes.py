"""Unsubscribing end to end: campaign mail offers it, one click takes it, and what leaves afterwards."""

import asyncio
import csv
import io
import re
import smtplib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import dkim
import pytest

from relay.domains.key_files import write_key
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Received, Sink
from tests.servers.waiting import PATIENCE

DOMAIN = """
[domains."acme.test"]
dkim = { selectors = ["s1"] }
tracking = { base_url = "https://t.acme.test" }
exclusion = "%s"
"""


ONE_CLICK = {"List-Unsubscribe": "One-Click"}


class Relay(RelayProcess):
    """A relay that signs, sends campaigns, and answers readers."""

    def __init__(self, folder: Path, sink: Sink, exclusion: str = "campaign") -> None:
        super().__init__(folder, sink.port, DOMAIN % exclusion)
        self.sink = sink
        pem = generate_key("ed25519-sha256")
        (folder / "data").mkdir()
        write_key(folder / "data", "acme.test", "s1", pem)
        self.dns_record = dns_record(load_key(pem, "acme.test", "s1")).encode()

    async def send(self, campaign: str = "", to: str = "u@rcpt.test", at: str = "") -> str:
        """Send a mail and return its queue id."""
        marked = f"X-Relay-Campaign: {campaign}\r\n" if campaign else ""
        marked += f"X-Relay-Send-At: {at}\r\n" if at else ""
        mail = f"From: Acme <news@acme.test>\r\nTo: {to}\r\nSubject: hello\r\n{marked}\r\nHello\r\n".encode()
        return await asyncio.to_thread(self._transaction, to, mail)

    def _transaction(self, to: str, mail: bytes) -> str:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.ehlo()
            client.mail("news@acme.test")
            client.rcpt(to)
            code, text = client.data(mail)
            assert code == 250, text
            return text.decode().rsplit(" ", 1)[1]

    async def fate(self, queue_id: str, status: str) -> dict[str, Any]:
        """Return the first recipient of a message, once it has that status."""
        async with asyncio.timeout(PATIENCE):
            while True:
                (story,) = await self.json("trace", queue_id)
                recipient: dict[str, Any] = story["recipients"][0]
                if recipient["status"] == status:
                    return recipient
                await asyncio.sleep(0.05)

    async def click(self, got: Received) -> None:
        """Press the mail program's button: what RFC 8058 has it send, to the path the header names."""
        match = re.search(rb"List-Unsubscribe: <https://t\.acme\.test(/u/[\w-]+)>", got.content)
        assert match is not None
        url = f"http://127.0.0.1:{self.tracker_port}{match[1].decode()}"
        async with aiohttp.ClientSession() as client:
            async with client.get(url) as answer:
                assert answer.status == 200
            async with client.post(url, data=ONE_CLICK) as answer:
                assert (answer.status, await answer.text()) == (200, "Unsubscribed.\n")

    async def listed(self, count: int) -> list[dict[str, Any]]:
        """Return the unsubscribe list, once it has so many."""
        async with asyncio.timeout(PATIENCE):
            while len(found := await self.json("unsubscribe", "list")) < count:
                await asyncio.sleep(0.05)
        return found


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


@pytest.mark.parametrize(("exclusion", "autumn"), [("campaign", "delivered"), ("global", "dropped")])
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
        await relay.fate(await relay.send(), "delivered")


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
            assert await relay.json("unsubscribe", "import", str(tmp_path / name)) == [{"imported": 2}]
            assert await relay.json("unsubscribe", "list") == listed
        (tmp_path / "plain.txt").write_text("c@x.test\nd@x.test\n")
        await relay.run("unsubscribe", "import", str(tmp_path / "plain.txt"), "--domain", "acme.test")
        imported = await relay.json("unsubscribe", "list", "--source", "import")
        assert [(one["address"], one["domain"]) for one in imported] == [
            ("c@x.test", "acme.test"),
            ("d@x.test", "acme.test"),
        ]
        (tmp_path / "bad.csv").write_text("address,source\nno-address,\nb@x.test,nowhere\n")
        with pytest.raises(AssertionError, match=r"(?s)entry 1: .*no @ in the address.*entry 2: source 'nowhere'"):
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
